"""Overlapping windows of a picture on a fixed grid, and their blend back into a picture.

Windows lie at multiples of half their side from the picture's top left corner, so windows of a tile that starts at such
a multiple are windows of the whole picture too.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grid_size(length: int, side: int) -> int:
    """Return how many windows of ``side`` px, half a side apart, cover ``length`` px, each pixel twice."""
    return -(-length // (side // 2)) + 1


def mirrored(length: int, before: int, after: int) -> Tensor:
    """Return indices that extend a row of ``length`` by mirroring at both ends, any number of times (unlike F.pad)."""
    period = max(1, 2 * (length - 1))
    at = torch.arange(-before, length + after).remainder(period)
    return torch.minimum(at, period - at) if length > 1 else torch.zeros_like(at)


def cut(picture: Tensor, side: int) -> Tensor:
    """Cut B x C x H x W, mirrored beyond its edge, into windows, B x rows x columns x C x side x side.

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
    """Return side x side weights (Hann) that sum to 1 over overlapping windows."""
    line = torch.hann_window(side, periodic=True, device=like.device, dtype=like.dtype)
    return line[:, None] * line


def blend(windows: Tensor, height: int, width: int) -> Tensor:
    """Invert :func:`cut`: blend B x rows x columns x C x side x side into B x C x height x width."""
    return overlap_add(windows, height, width, fading(windows.shape[-1], windows))


def overlap_add(windows: Tensor, height: int, width: int, weights: Tensor | None = None) -> Tensor:
    """Sum windows at their places, each weighted by ``weights`` (side x side) unless it was faded before."""
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
