"""Between pictures as plugins have them (NumPy, H x W x 3) and as networks have them (torch, B x 3 x H x W)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def check_photo(photo: np.ndarray) -> None:
    """Raises ValueError for a photo that is not H x W x 3, is empty, or has values that are not finite."""
    if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(f"a photo is H x W x 3, got {photo.shape}")
    if not np.isfinite(photo).all():
        raise ValueError("the photo has values that are not finite")


def to_tensor(
    pixels: np.ndarray,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    layout: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """H x W x C to 1 x C x H x W."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
    return tensor.permute(2, 0, 1)[None].to(device, dtype).contiguous(memory_format=layout)


def to_array(tensor: Tensor) -> np.ndarray:
    """1 x C x H x W to float32 H x W x C."""
    array: np.ndarray = tensor[0].permute(1, 2, 0).float().cpu().numpy()
    return array


def to_pixels(picture: Tensor) -> np.ndarray:
    """3 x H x W in [0, 1] to H x W x 3 uint8."""
    return (picture.permute(1, 2, 0).clamp(0, 1).cpu().numpy() * 255).round().astype(np.uint8)
