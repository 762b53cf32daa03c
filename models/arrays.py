"""Conversion of pictures between NumPy, H x W x 3, as plugins use, and torch, B x 3 x H x W, as networks use."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def check_photo(photo: np.ndarray) -> None:
    """Raise ValueError for a photo that is not H x W x 3, is empty, or has values that are not finite."""
    if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(f"a photo is H x W x 3, got {photo.shape}")
    if not np.isfinite(photo).all():
        raise ValueError("the photo has values that are not finite")


def check_hint(hint: np.ndarray, photo: np.ndarray) -> None:
    """Raise ValueError unless ``hint`` is H x W in [0, 1], of the photo's size."""
    if hint.shape != photo.shape[:2]:
        raise ValueError(f"the hint must be {photo.shape[0]} x {photo.shape[1]}, as the photo, got {hint.shape}")
    if not (np.isfinite(hint).all() and hint.min() >= 0 and hint.max() <= 1):
        raise ValueError("the hint's values must be finite and in [0, 1]")


def to_tensor(
    pixels: np.ndarray,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    layout: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """Convert H x W x C to 1 x C x H x W."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
    return tensor.permute(2, 0, 1)[None].to(device, dtype).contiguous(memory_format=layout)


def to_array(tensor: Tensor) -> np.ndarray:
    """Convert 1 x C x H x W to float32 H x W x C."""
    array: np.ndarray = tensor[0].permute(1, 2, 0).float().cpu().numpy()
    return array


def to_pixels(picture: Tensor) -> np.ndarray:
    """Convert 3 x H x W in [0, 1] to H x W x 3 uint8."""
    return (picture.permute(1, 2, 0).clamp(0, 1).cpu().numpy() * 255).round().astype(np.uint8)
