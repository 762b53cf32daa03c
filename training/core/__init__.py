"""Parts of every training run: configuration, data feed, optimisation, losses, checkpoints, curves and export."""
