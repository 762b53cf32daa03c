"""The ``detail`` setting: from the pre-reconstruction (0, faithful) to the diffusion output (1, detailed).

The change that the diffusion step makes is split into a fine and a coarse part. The fine part is added in proportion to
the setting, the coarse part to its square, so that tones stay near the pre-reconstruction while detail already appears.

The mean gradient along ``p + t d`` is a convex function of t (a sum of norms of affine functions of t), so it never
decreases if it does not at 0. Where the diffusion output loses sharpness, as much of the pre-reconstruction's own fine
part is added as compensates at 0. So, but for the coarse part's curvature and for clipping, a higher setting is never
less sharp.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.arrays import to_array, to_tensor
from models.geometry import Box, enlarge_part

COARSE_CELL_PX = 8  # pixels; means over squares of this side, enlarged bilinearly, are near a Gaussian of sigma 4 px
BAND_ROWS = 512  # rows at a time: a large photo needs no further copies of itself


def blend(prerestored: np.ndarray, diffusion: np.ndarray, detail: float) -> float:
    """Turn ``diffusion`` into the picture at ``detail`` (0 to 1), in place; both are H x W x 3 float32 in [0, 1].

    Returns the share of the pre-reconstruction's fine part that was added to keep its sharpness, 0 where none was
    needed; the picture at 1 is then the diffusion output itself.
    """
    low, low_pre = _coarse(diffusion), _coarse(prerestored)
    low = low - low_pre
    keep = _held(prerestored, diffusion, low, low_pre)
    if detail == 1 and keep == 0:
        return 0.0
    for rows, box in _bands(*diffusion.shape[:2]):
        pre, change = _parts(prerestored, diffusion, rows)
        coarse, fine_pre = enlarge_part(low, box), pre - enlarge_part(low_pre, box)
        picture = pre + detail * (change - coarse + keep * fine_pre) + detail**2 * coarse
        diffusion[rows] = to_array(picture.clamp(0, 1))
    return keep


def _held(prerestored: np.ndarray, diffusion: np.ndarray, low: Tensor, low_pre: Tensor) -> float:
    """Return the share of the pre-reconstruction's fine part with which the mean gradient does not fall at 0."""
    fine, all_of_it, own = 0.0, 0.0, 0.0
    for rows, box in _bands(*diffusion.shape[:2]):
        pre, change = _parts(prerestored, diffusion, rows)
        coarse = enlarge_part(low, box)
        gradient = _gradient(pre)
        direction = gradient / gradient.square().sum(0, keepdim=True).sqrt().clamp(min=1e-6)
        fine += float((direction * _gradient(change - coarse)).sum())
        all_of_it += float((direction * _gradient(change)).sum())
        own += float((direction * _gradient(pre - enlarge_part(low_pre, box))).sum())
    lost = -min(fine, all_of_it)
    return min(lost / own, 1.0) if lost > 0 and own > 0 else 0.0


def mean_gradient(picture: np.ndarray) -> float:
    """Return the mean length of the differences to the right and lower neighbours, a measure of sharpness."""
    return float(_gradient(to_tensor(picture)).square().sum(0).sqrt().mean())


def _gradient(x: Tensor) -> Tensor:
    """Return the differences to the right and lower neighbour, 0 at the last: B x C x H x W to 2 x B x C x H x W."""
    return torch.stack([F.pad(x.diff(dim=-1), (0, 1)), F.pad(x.diff(dim=-2), (0, 0, 0, 1))])


def _coarse(picture: np.ndarray) -> Tensor:
    height, width = picture.shape[:2]
    small = (-(-height // COARSE_CELL_PX), -(-width // COARSE_CELL_PX))
    return F.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None], small, mode="area")


def _bands(height: int, width: int) -> Iterator[tuple[slice, Box]]:
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        yield slice(top, bottom), Box(top, 0, bottom - top, width, height, width)


def _parts(prerestored: np.ndarray, diffusion: np.ndarray, rows: slice) -> tuple[Tensor, Tensor]:
    pre = to_tensor(prerestored[rows])
    return pre, to_tensor(diffusion[rows]) - pre
