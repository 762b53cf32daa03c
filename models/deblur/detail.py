"""The ``detail`` dial: from the pre-reconstruction, the faithful end, to the diffusion output, the detailed end.

What the diffusion step changes is split into fine and coarse. The fine part comes in proportion, the coarse part
with the square of the dial: along the way tones stay near the faithful end while detail already comes.

Mean gradient along ``p + t d`` is a convex function of t (a sum of norms of what is affine in t), so it never falls if
it does not fall at 0. Where the diffusion output takes sharpness away, as much of the pre-reconstruction's own fine
part is added as makes up for that at 0; by that rule, and but for the coarse part's curvature and for clipping,
more of the dial is never less sharp.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.arrays import to_array, to_tensor
from models.geometry import Box, enlarge_part

SCALE = 8  # pixels; means over squares of this side, enlarged bilinearly, are near a Gaussian of sigma 4 px
BAND = 512  # rows at a time: a large photo needs no further copies of itself


def blend(prerestored: np.ndarray, diffusion: np.ndarray, detail: float) -> float:
    """Turn ``diffusion`` into the picture at ``detail`` (0 to 1), in place; both H x W x 3 float32 in [0, 1].

    Returns the share of the pre-reconstruction's fine part that was added to hold its sharpness, 0 where none was
    needed: at 1 the picture then is the diffusion output itself.
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
    """The share of the pre-reconstruction's fine part by which the mean gradient does not fall at 0."""
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
    """Sharpness: the mean length of the differences to the right and lower neighbours, over pixels and channels."""
    return float(_gradient(to_tensor(picture)).square().sum(0).sqrt().mean())


def _gradient(x: Tensor) -> Tensor:
    """B x C x H x W to 2 x B x C x H x W: differences to the right and lower neighbour, 0 at the last."""
    return torch.stack([F.pad(x.diff(dim=-1), (0, 1)), F.pad(x.diff(dim=-2), (0, 0, 0, 1))])


def _coarse(picture: np.ndarray) -> Tensor:
    height, width = picture.shape[:2]
    small = (-(-height // SCALE), -(-width // SCALE))
    return F.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None], small, mode="area")


def _bands(height: int, width: int) -> Iterator[tuple[slice, Box]]:
    for top in range(0, height, BAND):
        bottom = min(top + BAND, height)
        yield slice(top, bottom), Box(top, 0, bottom - top, width, height, width)


def _parts(prerestored: np.ndarray, diffusion: np.ndarray, rows: slice) -> tuple[Tensor, Tensor]:
    pre = to_tensor(prerestored[rows])
    return pre, to_tensor(diffusion[rows]) - pre
