"""Kernels of uniform blur, each with its covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SUBPIXELS = 5  # a side, for the shape of an aperture
Covariance = tuple[float, float, float]  # xx, xy, yy, in px²


@dataclass(frozen=True)
class Kernel:
    """``values``: k x k, float32, k odd, of sum 1, centred; ``covariance`` in px²."""

    values: Tensor
    covariance: Covariance


def identity() -> Kernel:
    """Make the kernel that changes nothing."""
    return Kernel(torch.ones(1, 1), (0.0, 0.0, 0.0))


def from_points(points: np.ndarray, weights: np.ndarray) -> Kernel:
    """Splat ``points`` (N x 2, x and y in px) bilinearly; their covariance is without the pixel's own width."""
    weights = weights / weights.sum()
    points = points - weights @ points
    covariance = (points * weights[:, None]).T @ points
    half = int(np.ceil(np.abs(points).max(initial=0.0) - 1e-6))
    side = 2 * half + 1
    low = np.clip(np.floor(points).astype(int), -half, max(half - 1, -half))
    share = points - low
    total = np.zeros(side * side)
    for right in (0, 1) if half else (0,):
        for down in (0, 1) if half else (0,):
            part = (share[:, 0] if right else 1 - share[:, 0]) * (share[:, 1] if down else 1 - share[:, 1])
            place = (low[:, 1] + down + half) * side + low[:, 0] + right + half
            total += np.bincount(place, weights * part, side * side)
    values = torch.from_numpy((total / total.sum()).reshape(side, side).astype(np.float32))
    return Kernel(values, (float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])))


def centred(values: np.ndarray) -> Kernel:
    """Move the mean of a measured kernel to the centre; part of a pixel softens it by up to 1/4 px² an axis."""
    y, x = np.nonzero(values > 0)
    return from_points(np.stack([x, y], 1).astype(np.float64), values[y, x].astype(np.float64))


def aperture(radius: float, blades: int = 0, angle: float = 0.0, round_share: float = 0.0) -> Kernel:
    """Make the defocus kernel of an aperture: a disc, or a regular polygon of ``blades`` sides (geometric optics).

    Args:
        radius: Of the disc, or of the polygon's circumscribed circle, in pixels.
        blades: Sides of the polygon; 0: a disc.
        angle: Rotation of the polygon in radians.
        round_share: 0: straight sides; 1: the disc.
    """
    half = max(1, math.ceil(radius))
    side = 2 * half + 1
    at = (np.arange(side * SUBPIXELS) + 0.5) / SUBPIXELS - side / 2
    x, y = at[None], at[:, None]
    edge: np.ndarray | float = radius
    if blades:
        sector = 2 * math.pi / blades
        within = np.mod(np.arctan2(y, x) - angle, sector) - sector / 2
        edge = radius * (round_share + (1 - round_share) * math.cos(sector / 2) / np.cos(within))
    shape = np.clip((edge - np.hypot(x, y)) * SUBPIXELS + 0.5, 0, 1)
    shape /= shape.sum()
    covariance = (float(shape.sum(0) @ at**2), float(at @ shape @ at), float(shape.sum(1) @ at**2))
    values = shape.reshape(side, SUBPIXELS, side, SUBPIXELS).sum((1, 3))
    return Kernel(torch.from_numpy(values.astype(np.float32)), covariance)


def gaussian(deviation: float) -> Kernel:
    """Make an isotropic Gaussian of ``deviation`` pixels, truncated at three of them."""
    half = max(1, math.ceil(3 * deviation))
    line = np.exp(-0.5 * (np.arange(-half, half + 1) / max(deviation, 1e-3)) ** 2)
    line /= line.sum()
    variance = float(line @ np.arange(-half, half + 1) ** 2)
    return Kernel(torch.from_numpy(np.outer(line, line).astype(np.float32)), (variance, 0.0, variance))


def resized(values: np.ndarray, length: float, angle: float, mirrored: bool) -> Kernel:
    """Mirror a measured kernel, rotate it by ``angle`` (radians) and scale it to ``length`` pixels.

    ``length`` is twice the distance from its mean to the farthest value above a hundredth of the largest.
    """
    weights = values.clip(min=0) / values.clip(min=0).sum()
    y, x = np.mgrid[: values.shape[0], : values.shape[1]].astype(np.float64)
    mean = np.array([(weights * x).sum(), (weights * y).sum()])
    kept = weights > weights.max() / 100
    reach = float(np.hypot(x - mean[0], y - mean[1])[kept].max())
    scale = length / 2 / max(reach, 0.5)
    finer = math.ceil(scale)  # enlarged, the points would lie apart: there are more of them
    if finer > 1:
        dense = torch.from_numpy(weights)[None, None]
        size = (finer * values.shape[0], finer * values.shape[1])
        weights = F.interpolate(dense, size, mode="bilinear", align_corners=False)[0, 0].clamp(min=0).numpy()
        kept = weights > weights.max() / 100
        y, x = (np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5) / finer - 0.5
    points = np.stack([x[kept] - mean[0], y[kept] - mean[1]], 1) * scale
    if mirrored:
        points[:, 0] *= -1
    cos, sin = math.cos(angle), math.sin(angle)
    points = points @ np.array([[cos, sin], [-sin, cos]])
    # Outliers of an enlarged kernel's new mean must not pass the largest blur that pictures are padded for.
    outside = np.hypot(*points.T) > length / 2 + 1
    return from_points(points[~outside], weights[kept][~outside])


@lru_cache(maxsize=4)
def load_kernels(folder: Path) -> tuple[np.ndarray, ...]:
    """Load every .npy file below ``folder``, sorted by name, as float64.

    Raises:
        FileNotFoundError: There is none.
        ValueError: One is not 2-D, not finite, or has no value above zero.
    """
    files = sorted(folder.rglob("*.npy")) if folder.is_dir() else []
    if not files:
        cure = "give a folder of .npy files (2-D) as blur.kernels, or give the family 'kernels' the weight 0"
        raise FileNotFoundError(f"There are no kernels in {folder}: {cure}.")
    kernels = []
    for file in files:
        values = np.load(file)
        if values.ndim != 2 or not np.isfinite(values).all() or not (values > 0).any():
            raise ValueError(f"{file} is no blur kernel: it must be 2-D and finite, with a value above zero.")
        kernels.append(values.astype(np.float64))
    return tuple(kernels)
