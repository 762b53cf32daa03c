"""Pre-reconstruction and domain alignment: a faithful restoration, and its features as a latent (GLOWDeblur, 3.2)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks import Down, Pointwise, Up, residuals, widened, zero_conv
from models.deblur.blind_deconvolution import DECONVOLVED_PICTURES
from models.deblur.motion import in_units
from models.guidance import Modulations, modulated

OUTPUT_MAPS = 5  # a share of each variant of the Wiener step, and what is added besides


class PreReconstruction(nn.Module):
    """Maps a photo, its deconvolved variants and its blur field to a restored picture and features, without diffusion.

    The picture is the photo plus, weighted for each pixel, the change that each variant makes, plus a residual; it
    starts as the photo. No mean is taken over the picture, so tiles agree with the whole.
    """

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...], extra: int, latent: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * (3 + 2 * (3 + extra) + 3), widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(residuals(w, d, context=False) for w, d in zip(widths, depths, strict=True))
        self.down = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        upwards = tuple(reversed(widths))
        self.up = nn.ModuleList(Up(a, b) for a, b in pairwise(upwards))
        self.up_blocks = nn.ModuleList(
            residuals(w, d, context=False) for w, d in zip(upwards[1:], depths[-2::-1], strict=True)
        )
        self.head = zero_conv(widths[0], 4 * OUTPUT_MAPS, 3)
        self.align = Pointwise(widths[-1], latent)

    def add_deconvolved_inputs(self) -> None:
        """Widen the network to also mix in `DECONVOLVED_PICTURES` deconvolved pictures.

        The output stays the same until the new weights are trained.
        """
        self.stem = widened(self.stem, 4 * 3 * DECONVOLVED_PICTURES, 0)
        self.head = widened(self.head, 0, 4 * DECONVOLVED_PICTURES)

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
            variants: What :class:`models.deblur.wiener.WienerStep` gives.
            field: What the motion estimator gives under that name.
            deconvolved: Pictures of `models.deblur.blind_deconvolution`, B x 3 `DECONVOLVED_PICTURES` x H x W, after
                :meth:`add_deconvolved_inputs`.
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
        shares = torch.cat([maps[:, :2], maps[:, OUTPUT_MAPS:]], 1)
        for share, change in zip(shares.split(1, 1), changes, strict=True):
            picture = picture + share * change.clamp(-1, 1)
        return picture, self.align(features[0]), features
