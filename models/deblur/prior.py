"""Pre-reconstruction and domain alignment: a faithful restoration, and its features as a latent (GLOWDeblur, 3.2)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks import Pointwise, Up, downsample, residuals, zero_conv
from models.deblur.blind import DECONVOLVED_PICTURES
from models.deblur.motion import in_units
from models.guidance import Modulations, modulated

OUTPUT_MAPS = 5  # a weight of each variant of the Wiener step, and an RGB residual
BANDS = 3


class PreReconstruction(nn.Module):
    """Adds weighted changes by deconvolved variants, and a residual, to the photo; no mean over the picture.

    With ``deconvolved`` it mixes in the `DECONVOLVED_PICTURES` of `models.deblur.blind`, too.
    """

    def __init__(
        self, widths: tuple[int, ...], depths: tuple[int, ...], extra: int, latent: int, deconvolved: bool = False
    ) -> None:
        super().__init__()
        more = DECONVOLVED_PICTURES if deconvolved else 0
        upwards = tuple(reversed(widths))
        downwards, later = zip(widths, depths, strict=True), zip(upwards[1:], depths[-2::-1], strict=True)
        self.stem = nn.Conv2d(4 * (3 + 2 * (3 + extra) + 3 + 3 * more), widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(residuals(w, d, context=False) for w, d in downwards)
        self.down = nn.ModuleList(downsample(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(Up(a, b) for a, b in pairwise(upwards))
        self.up_blocks = nn.ModuleList(residuals(w, d, context=False) for w, d in later)
        self.head = zero_conv(widths[0], 4 * (OUTPUT_MAPS + more), 3)
        self.align = Pointwise(widths[-1], latent)

    def forward(
        self,
        photo: Tensor,
        variants: Tensor,
        field: Tensor,
        deconvolved: Tensor | None = None,
        by: Modulations | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the picture (B x 3 x H x W, not clipped), the aligned latent, and features, coarse to fine, to 1/2.

        Args:
            photo: B x 3 x H x W in [0, 1].
            variants: Output of :class:`models.deblur.wiener.WienerStep`.
            field: ``field`` of the motion estimator.
            deconvolved: Pictures of `models.deblur.blind`, B x 3 `DECONVOLVED_PICTURES` x H x W, where it takes them.
            by: Scales and shifts by guidance, one pair for each level on the way up.
        """
        blur = F.interpolate(in_units(field), photo.shape[-2:], mode="bilinear")
        first, second = variants.chunk(2, 1)
        changes = [first[:, :3] - photo, second[:, :3] - photo]
        shown = [photo * 2 - 1, *(c.clamp(-1, 1) for c in changes), first[:, 3:], second[:, 3:], blur]
        if deconvolved is not None:
            more = [(picture - photo).clamp(-1, 1) for picture in deconvolved.chunk(DECONVOLVED_PICTURES, 1)]
            changes, shown = changes + more, shown + more
        x = self.stem(F.pixel_unshuffle(torch.cat(shown, 1), 2))
        skips = []
        for level, blocks in enumerate(self.down_blocks):
            x = blocks(self.down[level - 1](x) if level else x)
            skips.append(x)
        x = modulated(x, by, 0)
        features = [x]
        for level, (up, blocks, skip) in enumerate(zip(self.up, self.up_blocks, skips[-2::-1], strict=True), 1):
            x = blocks(modulated(up(x) + skip, by, level))
            features.append(x)
        maps = F.pixel_shuffle(self.head(x), 2)
        picture = photo + maps[:, 2:OUTPUT_MAPS]
        weights = torch.cat([maps[:, :2], maps[:, OUTPUT_MAPS:]], 1)
        for weight, change in zip(weights.split(1, 1), changes, strict=True):
            picture = picture + weight * change.clamp(-1, 1)
        return picture, self.align(features[0]), features


def bands(picture: Tensor) -> Tensor:
    """Split B x C x H x W into B x BANDS x C x H x W: differences of binomial means at about 1, 2 and 4 pixels."""
    levels = [picture]
    for level in range(BANDS):
        levels.append(_binomial(_binomial(levels[-1], 2**level, -1), 2**level, -2))
    return torch.stack([a - b for a, b in pairwise(levels)], 1)


def _binomial(x: Tensor, step: int, dim: int) -> Tensor:
    """Average five values ``step`` apart, weighted 1, 4, 6, 4, 1; as sums, faster on a CPU than convolutions."""
    beyond = (2 * step, 2 * step, 0, 0) if dim == -1 else (0, 0, 2 * step, 2 * step)
    wide, length = F.pad(x, beyond, mode="replicate"), x.shape[dim]
    a, b, c, d, e = (wide.narrow(dim, place * step, length) for place in range(5))
    return (a + e) / 16 + (b + d) / 4 + c * 0.375
