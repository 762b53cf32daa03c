"""The simulated hint of training and evaluation: strokes that a user would brush over the reflection."""

from __future__ import annotations

from torch import Tensor

from degradations.filters import gaussian_blur

FAINTEST = 0.03  # of the reflection, in [0, 1], that anybody would brush over
USUAL_WIDTH = 0.02  # how coarsely hints are brushed where none is drawn, share of the picture's width
SHARE = 0.3  # of the strongest reflection of the photo from which on it is brushed over


def brushed(added: Tensor, width: Tensor) -> Tensor:
    """Simulate soft brush strokes over a reflection, B x 1 x H x W in [0, 1]; all 0 where there is none.

    Args:
        added: |photo - transmission|, B x 3 x H x W.
        width: of the brush, B, shares of the picture's width.
    """
    side = added.shape[-1]
    seen = gaussian_blur(added.abs().mean(1, keepdim=True), width * side)
    strongest = seen.amax((1, 2, 3), keepdim=True)
    strokes = (seen > (SHARE * strongest).clamp(min=FAINTEST)).float()
    return gaussian_blur(strokes, width * side / 2).clamp(0, 1)
