"""Images as arrays and tensors: conversion, checks, sRGB and linear light, padding and resizing."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.tiles import Box


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
    """Convert H x W x C or B x H x W x C to B x C x H x W."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
    batch = tensor if tensor.ndim == 4 else tensor[None]
    return batch.permute(0, 3, 1, 2).to(device, dtype).contiguous(memory_format=layout)


def to_array(tensor: Tensor) -> np.ndarray:
    """Convert 1 x C x H x W to float32 H x W x C."""
    array: np.ndarray = tensor[0].permute(1, 2, 0).float().cpu().numpy()
    return array


def to_pixels(picture: Tensor) -> np.ndarray:
    """Convert 3 x H x W in [0, 1] to H x W x 3 uint8."""
    return (picture.permute(1, 2, 0).clamp(0, 1).cpu().numpy() * 255).round().astype(np.uint8)


def to_linear(x: Tensor) -> Tensor:
    """Convert sRGB in [0, 1] to linear light in [0, 1] (IEC 61966-2-1)."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(x: Tensor) -> Tensor:
    """Convert linear light to sRGB; values are clipped to [0, 1] first."""
    x = x.clamp(0, 1)
    curve = 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(x <= 0.0031308, x * 12.92, curve).clamp(max=1)  # 1.055 - 0.055 is not quite 1


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Replicate the right and bottom edge of B x C x H x W until both sides are multiples of ``multiple``."""
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


def enlarge_part(maps: Tensor, box: Box) -> Tensor:
    """Enlarge the part of 1 x C x h x w ``maps`` over ``box`` bilinearly, as enlarging the whole and cropping would."""

    def centres(start: int, length: int, full: int) -> Tensor:
        at = torch.arange(start, start + length, device=maps.device, dtype=torch.float32)
        return (at + 0.5) * 2 / full - 1

    y = centres(box.top, box.height, box.full_height)
    x = centres(box.left, box.width, box.full_width)
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)[None]
    part = F.grid_sample(maps.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return part.to(maps.dtype)


def affine_residual(picture: np.ndarray, target: np.ndarray) -> float:
    """Return the mean squared error left after the least-squares gain and offset of each channel, picture to target.

    Nothing is clipped or rounded after the fit, so the error of a channel has a closed form: var(target) -
    cov(picture, target)^2 / var(picture). Both are H x W x C, in one unit.
    """
    error = 0.0
    channels = picture.shape[-1]
    for channel in range(channels):
        x, y = (side[..., channel].astype(np.float64) for side in (picture, target))
        x, y = x - x.mean(), y - y.mean()
        variance, covariance = float(np.mean(x * x)), float(np.mean(x * y))
        explained = covariance * covariance / variance if variance > 0 else 0.0
        error += max(float(np.mean(y * y)) - explained, 0.0) / channels
    return error
