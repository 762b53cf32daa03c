"""Conversions of samples, pictures' values in uint8, uint16 or float32."""

from __future__ import annotations

import numpy as np


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Round to uint8: floats in [0, 1] (clipped) or uint16. Return uint8 unchanged."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.round(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)


def on_white(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Composite H x W x C samples onto white by their H x W alpha; both uint8 or both uint16."""
    top = np.float32(np.iinfo(samples.dtype).max)
    cover = (alpha / top)[..., None].astype(np.float32)
    return np.round(samples * cover + top * (1 - cover)).astype(samples.dtype)
