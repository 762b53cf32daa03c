"""Padding, halos of tiles, and the part of a small map that belongs to one tile of a large photo."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.tiles import Tile


class Box(NamedTuple):
    """Where a tile lies in the whole photo, in pixels; ``full_*`` is the photo's size."""

    top: int
    left: int
    height: int
    width: int
    full_height: int
    full_width: int


def with_halo(tile: Tile, halo: int, height: int, width: int) -> tuple[Box, tuple[slice, slice]]:
    """Return the tile with ``halo`` pixels around it, cut at the photo's edges, and the tile's place in that."""
    top, left = max(0, tile.top - halo), max(0, tile.left - halo)
    bottom = min(height, tile.top + tile.height + halo)
    right = min(width, tile.left + tile.width + halo)
    rows = slice(tile.top - top, tile.top - top + tile.height)
    columns = slice(tile.left - left, tile.left - left + tile.width)
    return Box(top, left, bottom - top, right - left, height, width), (rows, columns)


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Replicate the right and bottom edge of B x C x H x W until both sides are multiples of ``multiple``."""
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


def enlarge_part(maps: Tensor, box: Box) -> Tensor:
    """Enlarge the part of 1 x C x h x w ``maps`` over ``box`` bilinearly to 1 x C x box.height x box.width.

    Equal to enlarging the whole and cropping (pixel centres aligned, edges replicated), at the memory of a tile.
    """

    def centres(start: int, length: int, full: int) -> Tensor:
        at = torch.arange(start, start + length, device=maps.device, dtype=torch.float32)
        return (at + 0.5) * 2 / full - 1

    y = centres(box.top, box.height, box.full_height)
    x = centres(box.left, box.width, box.full_width)
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)[None]
    part = F.grid_sample(maps.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return part.to(maps.dtype)
