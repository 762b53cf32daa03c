"""The baseline a restorer must beat: one affine map ``gain * x + offset`` of all values, fitted to a set of pairs.

PSNR rewards a mere change of brightness, so a gain over the untouched input alone says little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.evaluation.metrics import psnr_of_error

LEVELS = 256


@dataclass(frozen=True)
class AffineMap:
    """8-bit in, 8-bit out: ``round(gain * x + offset)``, clipped to [0, 255]; offset in 8-bit levels."""

    gain: float = 1.0
    offset: float = 0.0

    @property
    def table(self) -> np.ndarray:
        """Return the output level of each of the 256 input levels, float64."""
        return _tables(np.array([self.gain]), np.array([self.offset]))[0]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Apply the map to a picture, uint8 H x W x 3 -> uint8 H x W x 3."""
        return self.table.astype(np.uint8)[picture]


@dataclass(frozen=True)
class PairMoments:
    """Sufficient statistics of one pair, from which the exact error of any map of the 256 levels follows.

    For each input level: its frequency (``share`` of all values), and the sums of the target and of the squared target
    at its pixels, over the number of all values.
    """

    share: np.ndarray
    target: np.ndarray
    square: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray, target: np.ndarray) -> PairMoments:
        """Compute the statistics of an 8-bit pair of one size."""
        if picture.shape != target.shape:
            raise ValueError(f"The pair differs in size: {picture.shape} against {target.shape}.")
        x, y = picture.ravel(), target.ravel().astype(np.float64)
        return cls(
            np.bincount(x, minlength=LEVELS) / x.size,
            np.bincount(x, weights=y, minlength=LEVELS) / x.size,
            np.bincount(x, weights=y * y, minlength=LEVELS) / x.size,
        )

    def error(self, tables: np.ndarray) -> np.ndarray:
        """Compute the mean squared error of each table of output levels, ``(..., 256) -> (...)``."""
        return tables**2 @ self.share - 2 * tables @ self.target + self.square.sum()

    def psnr(self, affine: AffineMap) -> float:
        """Compute the PSNR in dB of the mapped picture from the statistics alone."""
        return psnr_of_error(float(self.error(affine.table)))


def best_affine_map(pairs: Sequence[PairMoments], objective: Literal["error", "psnr"] = "error") -> AffineMap:
    """Find the map with the lowest mean squared error, or the highest mean PSNR, over 8-bit pairs of equal weight.

    Rounding and clipping leave no closed form, so a grid is searched and refined three times, to 0.001 in gain and 0.1
    levels in offset. ValueError without pairs.
    """
    if not pairs:
        raise ValueError("There are no pairs to fit an affine map to.")
    together = pairs
    if objective == "error":  # the mean error is the error of the mean moments: one pair stands for all
        sides = zip(*((p.share, p.target, p.square) for p in pairs), strict=True)
        together = [PairMoments(*(np.mean(side, axis=0) for side in sides))]
    gain, offset, gain_step, offset_step, reach = 1.0, 0.0, 0.04, 4.0, 20
    for _ in range(4):
        steps = np.arange(-reach, reach + 1)
        gains, offsets = np.meshgrid(gain + steps * gain_step, offset + steps * offset_step, indexing="ij")
        tables = _tables(gains, offsets)
        cost = np.zeros(gains.shape)
        for pair in together:
            cost += np.log(np.maximum(pair.error(tables), 1e-9))  # falls as the sum of PSNRs rises
        best = np.unravel_index(int(np.argmin(cost)), cost.shape)
        gain, offset = float(gains[best]), float(offsets[best])
        gain_step, offset_step, reach = gain_step / 4, offset_step / 4, 10
    return AffineMap(round(gain, 4), round(offset, 3))


def _tables(gains: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    values = gains[..., None] * np.arange(LEVELS, dtype=np.float64) + offsets[..., None]
    return np.clip(np.rint(values), 0, LEVELS - 1)
