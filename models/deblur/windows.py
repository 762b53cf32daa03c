"""Overlapping windows of a picture on a fixed grid, and their blend back into one.

Windows lie at multiples of half their side from the picture's top left corner, so that windows of a tile which
starts at such a multiple are windows of the whole picture too.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grid_size(length: int, side: int) -> int:
    """How many windows of ``side`` px, half a side apart, cover ``length`` px: every pixel lies in two of them."""
    return -(-length // (side // 2)) + 1


def mirrored(length: int, before: int, after: int) -> Tensor:
    """Indices 0 .. length-1 for a row that goes on mirrored at both ends, as far as asked for (F.pad cannot)."""
    period = max(1, 2 * (length - 1))
    at = torch.arange(-before, length + after).remainder(period)
    return torch.minimum(at, period - at) if length > 1 else torch.zeros_like(at)


def cut(picture: Tensor, side: int) -> Tensor:
    """B x C x H x W to its windows, B x rows x columns x C x side x side, the picture mirrored beyond its edge.

    Window (i, j) is centred at (i, j) times half a side.
    """
    step = side // 2
    height, width = picture.shape[-2:]
    rows, columns = grid_size(height, side), grid_size(width, side)
    y = mirrored(height, step, rows * step - height).to(picture.device)
    x = mirrored(width, step, columns * step - width).to(picture.device)
    padded = picture[..., y, :][..., x]
    return padded.unfold(2, side, step).unfold(3, side, step).permute(0, 2, 3, 1, 4, 5)


def fading(side: int, like: Tensor) -> Tensor:
    """side x side weights by which overlapping windows fade into each other (Hann): they sum to one."""
    line = torch.hann_window(side, periodic=True, device=like.device, dtype=like.dtype)
    return line[:, None] * line


def blend(windows: Tensor, height: int, width: int) -> Tensor:
    """The inverse of :func:`cut`: B x rows x columns x C x side² to B x C x height x width, faded into each other."""
    return overlap_add(windows, height, width, fading(windows.shape[-1], windows))


def overlap_add(windows: Tensor, height: int, width: int, weights: Tensor | None = None) -> Tensor:
    """The sum of windows at their places, by their ``weights`` (side x side): of windows that were faded before."""
    batch, rows, columns, channels, side, _ = windows.shape
    step = side // 2
    whole = windows.new_zeros(batch, channels, rows + 1, step, columns + 1, step)
    # The upper left quarters of all windows lie side by side, and so do the others: faster than F.fold.
    for down in (0, 1):
        for right in (0, 1):
            part = (..., slice(down * step, (down + 1) * step), slice(right * step, (right + 1) * step))
            quarters = windows[part] if weights is None else windows[part] * weights[part]
            whole[:, :, down : down + rows, :, right : right + columns] += quarters.permute(0, 3, 1, 4, 2, 5)
    flat = whole.view(batch, channels, (rows + 1) * step, (columns + 1) * step)
    return flat[..., step : step + height, step : step + width]
