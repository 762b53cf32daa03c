"""The ``detail`` setting: from the pre-reconstruction (0, faithful) to the diffusion output (1, detailed).

The change that the diffusion step makes is split into a fine and a coarse part. The fine part is added in proportion to
the setting, the coarse part to its square, so that tones stay near the pre-reconstruction while detail already appears.

The mean gradient along ``p + t d`` is a convex function of t (a sum of norms of affine functions of t), so it never
decreases if it does not at 0. Where the diffusion output loses sharpness, as much of the pre-reconstruction's own fine
part is added as compensates at 0. So, but for the coarse part's curvature and for clipping, a higher setting is never
less sharp.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.images import enlarge_part, to_array, to_tensor
from models.tiles import Box

COARSE_CELL_PX = 8  # pixels; means over squares of this side, enlarged bilinearly, are near a Gaussian of sigma 4 px
BAND_ROWS = 512  # rows at a time: a large photo needs no further copies of itself


def blend(prerestored: np.ndarray, diffusion: np.ndarray, detail: float) -> float:
    """Turn ``diffusion`` into the picture at ``detail`` (0 to 1), in place; both are H x W x 3 float32 in [0, 1].

    Returns the share of the pre-reconstruction's fine part that was added to keep its sharpness, 0 where none was
    needed; the picture at 1 is then the diffusion output itself.
    """
    low, low_pre = _coarse(diffusion), _coarse(prerestored)
    low = low - low_pre
    height, width = diffusion.shape[:2]
    boxes = [Box(top, 0, min(BAND_ROWS, height - top), width, height, width) for top in range(0, height, BAND_ROWS)]
    keep = _kept_share(prerestored, diffusion, low, low_pre, boxes)
    if detail == 1 and keep == 0:
        return 0.0
    for box in boxes:
        pre, change = _parts(prerestored, diffusion, box)
        coarse, fine_pre = enlarge_part(low, box), pre - enlarge_part(low_pre, box)
        picture = pre + detail * (change - coarse + keep * fine_pre) + detail**2 * coarse
        diffusion[box.slices] = to_array(picture.clamp(0, 1))
    return keep


def _kept_share(
    prerestored: np.ndarray, diffusion: np.ndarray, low: Tensor, low_pre: Tensor, boxes: list[Box]
) -> float:
    """Return the share of the pre-reconstruction's fine part with which the mean gradient does not fall at 0."""
    fine, total, own = 0.0, 0.0, 0.0
    for box in boxes:
        pre, change = _parts(prerestored, diffusion, box)
        gradient = _gradient(pre)
        direction = gradient / gradient.square().sum(0, keepdim=True).sqrt().clamp(min=1e-6)
        fine += float((direction * _gradient(change - enlarge_part(low, box))).sum())
        total += float((direction * _gradient(change)).sum())
        own += float((direction * _gradient(pre - enlarge_part(low_pre, box))).sum())
    lost = -min(fine, total)
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


def _parts(prerestored: np.ndarray, diffusion: np.ndarray, box: Box) -> tuple[Tensor, Tensor]:
    pre = to_tensor(prerestored[box.slices])
    return pre, to_tensor(diffusion[box.slices]) - pre
