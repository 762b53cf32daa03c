"""Dense SIFT descriptors of local patches (Lowe, IJCV 2004) with colour and place, in batched torch.

A descriptor is 4 x 4 cells of 4 x 4 pixels, each with the energy of gradients in eight directions, normalised for
contrast (which a veil lowers), clipped, normalised again, and square-rooted (Arandjelovic and Zisserman, CVPR 2012).
Patches are 4 pixels apart. Larger patches come from smaller pictures.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS, CELL_PX, CELLS_ACROSS = 8, 4, 4
SHAPE_DIM = DIRECTIONS * CELLS_ACROSS * CELLS_ACROSS
COLOUR_PLACE_DIM = 5  # three of colour, two of place
NORM_FLOOR = 0.02  # descriptors below this norm are mostly noise
MAX_VALUE = 0.2


def dense_sift(photo: Tensor) -> tuple[Tensor, Tensor]:
    """Return shapes, B x N x 128, and colour and place, B x N x 5, of N patches of B x 3 x H x W in [0, 1].

    Sides are at least 16 px. Place is -0.5 .. 0.5 across and down.
    """
    cells = _directions(photo)
    batch = len(photo)
    shape = F.unfold(cells, CELLS_ACROSS).transpose(1, 2)
    shape = shape / (shape.norm(dim=2, keepdim=True) + NORM_FLOOR)
    shape = shape.clamp(max=MAX_VALUE)
    shape = (shape / (shape.norm(dim=2, keepdim=True) + 1e-3) + 1e-6).sqrt()
    colour = F.avg_pool2d(photo, CELL_PX * CELLS_ACROSS, CELL_PX)
    rows, columns = colour.shape[-2:]
    down, across = (torch.linspace(-0.5, 0.5, n, device=photo.device, dtype=photo.dtype) for n in (rows, columns))
    place = torch.stack(torch.meshgrid(across, down, indexing="xy")).expand(batch, -1, -1, -1)
    return shape, torch.cat([colour, place], 1).flatten(2).transpose(1, 2)


def _directions(photo: Tensor) -> Tensor:
    """Return the energy of gradients by direction, of the strongest colour, in overlapping cells: B x 8 x H/4 x W/4."""
    padded = F.pad(photo, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    strongest = (across**2 + down**2).argmax(1, keepdim=True)
    across, down = across.gather(1, strongest), down.gather(1, strongest)
    angles = torch.arange(DIRECTIONS, device=photo.device, dtype=photo.dtype) * (2 * math.pi / DIRECTIONS)
    along = (across * angles.cos()[:, None, None] + down * angles.sin()[:, None, None]).clamp(min=0)
    square = along * along
    energy = square * square * along / (across**2 + down**2 + 1e-8) ** 2
    # Twice the cell's width, as a pixel counts for its neighbours too.
    return F.avg_pool2d(energy, 2 * CELL_PX, CELL_PX, CELL_PX // 2, count_include_pad=False)
