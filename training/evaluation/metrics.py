"""The scores of the evaluation protocol. Pictures are H x W x 3, values 0 to ``data_range`` (255)."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from models.images import affine_residual, to_pixels

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
    """Score one 8-bit picture against its 8-bit target."""
    aligned = aligned_psnr(picture, target)
    return Scores(psnr(picture, target), ssim(picture, target), aligned, mean_gradient(picture))


def psnr(picture: np.ndarray, target: np.ndarray, data_range: float = 255.0) -> float:
    """Return the peak signal-to-noise ratio in dB over all channels, at most `PSNR_CAP`."""
    _same_shape(picture, target)
    return psnr_of_error(float(np.mean((picture.astype(np.float64) - target) ** 2)), data_range)


def psnr_of_error(error: float, data_range: float = 255.0) -> float:
    """Convert a mean squared error to PSNR in dB, at most `PSNR_CAP`."""
    return min(PSNR_CAP, 10 * float(np.log10(data_range**2 / error))) if error > 0 else PSNR_CAP


def ssim(picture: np.ndarray, target: np.ndarray) -> float:
    """Return the structural similarity on RGB, skimage's defaults; ValueError below 7 pixels a side."""
    _same_shape(picture, target)
    height, width = picture.shape[:2]
    if min(height, width) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs at least {SSIM_WINDOW} pixels a side, and this picture is {width} x {height}: leave it out "
            "of the set."
        )
    from skimage.metrics import structural_similarity  # a packed run (`training.pack`) has it not

    return float(structural_similarity(target, picture, data_range=255, channel_axis=-1))


def aligned_psnr(picture: np.ndarray, target: np.ndarray) -> float:
    """Return PSNR in dB after the least-squares gain and offset of each channel from picture to target.

    It leaves out global changes of brightness and contrast.
    """
    _same_shape(picture, target)
    return psnr_of_error(affine_residual(picture, target))


def tensor_psnr(picture: Tensor, target: Tensor) -> float:
    """Return :func:`psnr` of two 3 x H x W tensors in [0, 1], rounded to 8 bits."""
    return psnr(to_pixels(picture), to_pixels(target))


def tensor_aligned_psnr(picture: Tensor, target: Tensor) -> float:
    """Return :func:`aligned_psnr` of two 3 x H x W tensors in [0, 1], rounded to 8 bits."""
    return aligned_psnr(to_pixels(picture), to_pixels(target))


def mean_gradient(picture: np.ndarray) -> float:
    """Return the mean absolute difference between neighbouring pixels in both directions, in the picture's units.

    It falls with a loss of detail; a single pixel scores 0.
    """
    steps = [np.abs(np.diff(picture.astype(np.float32), axis=axis)) for axis in (0, 1)]
    count = sum(step.size for step in steps)
    return sum(float(step.sum(dtype=np.float64)) for step in steps) / count if count else 0.0


def bootstrap_interval(values: Sequence[float], scenes: Sequence[Hashable]) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of the mean over images, always the same for the same arguments.

    Whole scenes are resampled, since images of one are not independent. None with fewer than two scenes.
    """
    from scipy.stats import bootstrap  # a packed run (`training.pack`) has it not

    if len(values) != len(scenes):
        raise ValueError(f"There are {len(values)} values and {len(scenes)} scenes: give one scene a value.")
    groups: dict[Hashable, list[float]] = {}
    for value, scene in zip(values, scenes, strict=True):
        groups.setdefault(scene, []).append(value)
    if len(groups) < 2:
        return None
    totals = [sum(group) for group in groups.values()], [len(group) for group in groups.values()]

    def mean(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
        return sums.sum(axis) / counts.sum(axis)

    found = bootstrap(totals, mean, n_resamples=5000, paired=True, method="percentile", rng=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _same_shape(picture: np.ndarray, target: np.ndarray) -> None:
    if picture.shape != target.shape:
        raise ValueError(
            f"A picture of shape {picture.shape} cannot be scored against a target of shape {target.shape}: "
            "they must have the same size."
        )
