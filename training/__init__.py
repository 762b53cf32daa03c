"""The code that makes the hosted checkpoints: data, stages, evaluation."""
