"""The whole photo at low resolution, so that tiles agree with it and with each other.

A tile sees a part of the scene, and may take for a reflection what the whole shows to be none. So what is smooth in a
result comes from one pass over the whole photo, and what is fine from the tiles: of the *change* each makes to the
photo, the low frequencies are exchanged. Where both make the same change, nothing is done.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.geometry import Box, enlarge_part

SIDE = 768  # px, longest: what the published weights were made for
CELL = 4  # px of the low resolution: what is coarser comes from the whole photo, what is finer from the tiles


def reduced(photo: Tensor, side: int) -> Tensor:
    """B x C x H x W with its longest side brought down to ``side`` (antialiased), or as it is where it is smaller."""
    scale = side / max(photo.shape[-2:])
    if scale >= 1:
        return photo
    size = [max(1, round(length * scale)) for length in photo.shape[-2:]]
    return F.interpolate(photo, size, mode="bilinear", antialias=True)


def change_of(photo: Tensor, restored: Tensor) -> Tensor:
    """The low frequencies of what restoring changed at low resolution: 1 x 3 x H / CELL x W / CELL."""
    return reduced(restored - photo, max(1, max(photo.shape[-2:]) // CELL))


def agree(restored: Tensor, photos: Tensor, change: Tensor, boxes: list[Box]) -> Tensor:
    """Tiles whose change has the low frequencies of the whole photo's ``change`` instead of its own.

    ``restored`` and ``photos``: B x 3 x h x w; ``boxes``: where they lie in the photo that ``change`` is of.
    """
    own = restored - photos
    height, width = photos.shape[-2:]
    cell = max(boxes[0].full_height, boxes[0].full_width) / max(change.shape[-2:])
    cells = (max(1, round(height / cell)), max(1, round(width / cell)))
    coarse = F.interpolate(own, cells, mode="bilinear", antialias=True)
    coarse = F.interpolate(coarse, (height, width), mode="bilinear")
    return restored - coarse + torch.cat([enlarge_part(change, box) for box in boxes])
