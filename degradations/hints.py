"""Simulated hints for training and evaluation: the strokes that a user would brush over a reflection."""

from __future__ import annotations

from torch import Tensor

from degradations.filters import gaussian_blur

MIN_BRUSHED = 0.03  # value of a reflection, in [0, 1], below which users would not brush over it
USUAL_WIDTH = 0.02  # of the brush in evaluation, share of the picture's width
SHARE = 0.3  # of the photo's strongest reflection, above which it is brushed over


def brushed(added: Tensor, width: Tensor) -> Tensor:
    """Simulate brush strokes of ``width`` (B, shares of W) over |photo - transmission|: B x 1 x H x W in [0, 1]."""
    side = added.shape[-1]
    seen = gaussian_blur(added.abs().mean(1, keepdim=True), width * side)
    strongest = seen.amax((1, 2, 3), keepdim=True)
    strokes = (seen > (SHARE * strongest).clamp(min=MIN_BRUSHED)).float()
    return gaussian_blur(strokes, width * side / 2).clamp(0, 1)
