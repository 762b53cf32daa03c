"""The scores of the evaluation protocol. Pictures are H x W x 3, values 0 to ``data_range`` (255)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from models.images import to_pixels

PSNR_CAP = 60.0  # dB: identical pictures would be infinite, and one of them would swallow a mean
SSIM_WINDOW = 7  # skimage's default, pixels


@dataclass(frozen=True)
class Scores:
    """One picture against its target. PSNRs in dB; ``gradient`` is the picture's own, in levels a pixel."""

    psnr: float
    ssim: float
    aligned: float
    gradient: float


def score(picture: np.ndarray, target: np.ndarray) -> Scores:
    """All scores of one 8-bit picture against its 8-bit target."""
    return Scores(
        psnr=psnr(picture, target),
        ssim=ssim(picture, target),
        aligned=aligned_psnr(picture, target),
        gradient=mean_gradient(picture),
    )


def psnr(picture: np.ndarray, target: np.ndarray, data_range: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB over all channels, at most `PSNR_CAP`."""
    _same_shape(picture, target)
    return psnr_of_error(float(np.mean((picture.astype(np.float64) - target) ** 2)), data_range)


def psnr_of_error(error: float, data_range: float = 255.0) -> float:
    """Convert a mean squared error to PSNR in dB, at most `PSNR_CAP`."""
    return min(PSNR_CAP, 10 * float(np.log10(data_range**2 / error))) if error > 0 else PSNR_CAP


def ssim(picture: np.ndarray, target: np.ndarray, data_range: float = 255.0) -> float:
    """Structural similarity on RGB, skimage's defaults. Raises ValueError below 7 pixels a side."""
    _same_shape(picture, target)
    if min(picture.shape[:2]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs at least {SSIM_WINDOW} pixels a side, and this picture is "
            f"{picture.shape[1]} x {picture.shape[0]}: leave it out of the set."
        )
    from skimage.metrics import structural_similarity  # a packed run (`training.pack`) has it not

    return float(structural_similarity(target, picture, data_range=data_range, channel_axis=-1))


def aligned_psnr(picture: np.ndarray, target: np.ndarray, data_range: float = 255.0) -> float:
    """PSNR in dB after the least-squares gain and offset of each channel from picture to target.

    It leaves out global changes of brightness and contrast. Nothing is clipped or rounded after the fit, so the error
    of a channel has a closed form: var(target) - cov(picture, target)^2 / var(picture).
    """
    _same_shape(picture, target)
    error = 0.0
    channels = picture.shape[-1]
    for channel in range(channels):
        x = picture[..., channel].astype(np.float64)
        y = target[..., channel].astype(np.float64)
        x -= x.mean()
        y -= y.mean()
        variance, covariance = float(np.mean(x * x)), float(np.mean(x * y))
        explained = covariance * covariance / variance if variance > 0 else 0.0
        error += max(float(np.mean(y * y)) - explained, 0.0) / channels
    return psnr_of_error(error, data_range)


def tensor_psnr(picture: Tensor, target: Tensor) -> float:
    """:func:`psnr` of two 3 x H x W tensors in [0, 1], rounded to 8 bits."""
    return psnr(to_pixels(picture), to_pixels(target))


def tensor_aligned_psnr(picture: Tensor, target: Tensor) -> float:
    """:func:`aligned_psnr` of two 3 x H x W tensors in [0, 1], rounded to 8 bits."""
    return aligned_psnr(to_pixels(picture), to_pixels(target))


def mean_gradient(picture: np.ndarray) -> float:
    """Mean absolute difference between neighbouring pixels in both directions, in the picture's units.

    It falls with a loss of detail; a single pixel scores 0.
    """
    values = picture.astype(np.float32)
    steps = [np.abs(np.diff(values, axis=axis)) for axis in (0, 1)]
    count = sum(step.size for step in steps)
    return sum(float(step.sum(dtype=np.float64)) for step in steps) / count if count else 0.0


def bootstrap_interval(
    values: Sequence[float],
    scenes: Sequence[Hashable],
    *,
    level: float = 0.95,
    draws: int = 5000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Bootstrap interval of the mean over images, resampling whole scenes, since images of one are not independent.

    None with fewer than two scenes. The same arguments give the same interval.
    """
    if len(values) != len(scenes):
        raise ValueError(f"There are {len(values)} values and {len(scenes)} scenes: give one scene a value.")
    totals: dict[Hashable, tuple[float, int]] = {}
    for value, scene in zip(values, scenes, strict=True):
        total, count = totals.get(scene, (0.0, 0))
        totals[scene] = (total + value, count + 1)
    if len(totals) < 2:
        return None
    sums = np.array([total for total, _ in totals.values()])
    counts = np.array([count for _, count in totals.values()])
    chosen = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _same_shape(picture: np.ndarray, target: np.ndarray) -> None:
    if picture.shape != target.shape:
        raise ValueError(
            f"A picture of shape {picture.shape} cannot be scored against a target of shape {target.shape}: "
            "they must have the same size."
        )
