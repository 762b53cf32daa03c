"""One pass over the whole photo at low resolution, so that tiles agree with it and with each other.

A tile shows part of the scene, in which content may look like a reflection that the whole photo shows to be none. So
the low frequencies of the change of the photo come from one pass over the whole photo, and the high ones from the
tiles. Where both make the same change, nothing is altered.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.geometry import Box, enlarge_part

OVERVIEW_PX = 768  # px, longest: what the published weights were made for
COARSE_CELL_PX = 4  # px of the low resolution: what is coarser comes from the whole photo, what is finer from the tiles


def reduced(photo: Tensor, side: int) -> Tensor:
    """Reduce B x C x H x W to a longest side of ``side`` (antialiased); a smaller picture is returned as it is."""
    scale = side / max(photo.shape[-2:])
    if scale >= 1:
        return photo
    size = [max(1, round(length * scale)) for length in photo.shape[-2:]]
    return F.interpolate(photo, size, mode="bilinear", antialias=True)


def change_of(photo: Tensor, restored: Tensor) -> Tensor:
    """Return the low frequencies of the change of the photo at low resolution, reduced by another `COARSE_CELL_PX`."""
    return reduced(restored - photo, max(1, max(photo.shape[-2:]) // COARSE_CELL_PX))


def agree(restored: Tensor, photos: Tensor, change: Tensor, boxes: list[Box]) -> Tensor:
    """Replace the low frequencies of the tiles' changes by those of the whole photo's ``change``.

    ``restored`` and ``photos``: B x 3 x h x w; ``boxes``: their places in the photo that ``change`` is of.
    """
    own = restored - photos
    height, width = photos.shape[-2:]
    cell = max(boxes[0].full_height, boxes[0].full_width) / max(change.shape[-2:])
    cells = (max(1, round(height / cell)), max(1, round(width / cell)))
    coarse = F.interpolate(own, cells, mode="bilinear", antialias=True)
    coarse = F.interpolate(coarse, (height, width), mode="bilinear")
    return restored - coarse + torch.cat([enlarge_part(change, box) for box in boxes])
