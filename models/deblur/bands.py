"""Bands of scale of a picture: its details of about 1, 2 and 4 pixels."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

BANDS = 3


def bands(picture: Tensor) -> Tensor:
    """Split B x C x H x W into B x BANDS x C x H x W: differences of binomial means at about 1, 2 and 4 pixels."""
    levels = [picture]
    for level in range(BANDS):
        levels.append(_binomial(_binomial(levels[-1], 2**level, -1), 2**level, -2))
    return torch.stack([a - b for a, b in pairwise(levels)], 1)


def _binomial(x: Tensor, step: int, dim: int) -> Tensor:
    """Return the mean of five values ``step`` apart along ``dim``, weighted 1, 4, 6, 4, 1.

    Written as sums, since convolutions of single channels are slow on a CPU.
    """
    beyond = (2 * step, 2 * step, 0, 0) if dim == -1 else (0, 0, 2 * step, 2 * step)
    wide, length = F.pad(x, beyond, mode="replicate"), x.shape[dim]
    a, b, c, d, e = (wide.narrow(dim, place * step, length) for place in range(5))
    return (a + e) / 16 + (b + d) / 4 + c * 0.375
