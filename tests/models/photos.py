"""Photos for pipelines."""

from __future__ import annotations

import numpy as np


def photo_of(height: int, width: int) -> np.ndarray:
    """Smooth colour with some grain, float32 in [0, 1]."""
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = np.stack([np.sin(rows / 30), np.cos(columns / 40), np.sin((rows + columns) / 15)], -1) * 0.4 + 0.5
    return (smooth + np.random.default_rng(0).normal(0, 0.02, smooth.shape)).clip(0, 1).astype(np.float32)
