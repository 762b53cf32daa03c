"""Training, evaluation and release of the hosted checkpoints."""
