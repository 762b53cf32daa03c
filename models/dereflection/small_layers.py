"""The parts of the small tier of dereflection (`models.dereflection.small`), and the affine maps by which it works."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks import Pointwise, Up, downsample, residuals, stack, zero_conv
from models.efficientnet_lite import EfficientNetLite
from models.guidance import Modulations, modulated

Sizes = tuple[int, ...]
Skips = tuple[Tensor, ...]


class Encoder(nn.Module):
    """Encodes photo and hint to a latent at 1/32, and skips: the photo, then features at 1/2, 1/4, 1/8 and 1/16.

    ``lite`` is the pretrained network, which reads the hint as a fourth channel; ``detail`` a convolution over the
    photo's own pixels beside its thin first level (16 channels). ``channels`` are those of the skips but the first.
    """

    def __init__(self, width: float, detail_channels: int, latent_channels: int) -> None:
        super().__init__()
        self.lite = EfficientNetLite(width, extra_channels=1)
        self.detail = nn.Conv2d(16, detail_channels, 3, padding=1)
        *levels, last = self.lite.channels
        self.channels = (levels[0] + detail_channels, *levels[1:])
        self.to_latent = Pointwise(last, latent_channels)

    def forward(self, photo: Tensor, hint: Tensor | None = None) -> tuple[Tensor, Skips]:
        """Return the latent, and the skips."""
        if hint is None:
            hint = torch.zeros_like(photo[:, :1])
        shown = torch.cat([photo, hint.to(photo.dtype)], 1)
        first, *others, last = self.lite(shown)
        pixels = F.pixel_unshuffle(torch.cat([photo * 2 - 1, hint.to(photo.dtype)], 1), 2)
        detail = F.silu(self.detail(pixels.to(self.detail.weight.dtype)))
        # The photo keeps its precision, whatever that of the weights: the result is a change of it.
        return self.to_latent(last), (photo, torch.cat([first, detail], 1), *others)


class Gate(nn.Module):
    """Gates a skip by its agreement with the clean latent, against reflections that return through it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Pointwise(2 * channels, channels)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return ``skip`` times its gate."""
        return skip * torch.sigmoid(self.conv(torch.cat([skip, x], 1)))


class Decoder(nn.Module):
    """Decodes latent and skips to tone maps (gain, offset), B x 6 x H x W, and the reflection; levels are 1/2 first."""

    def __init__(self, skip_channels: Sizes, widths: Sizes, depths: Sizes, latent_channels: int) -> None:
        super().__init__()
        upwards = (latent_channels, *reversed(widths))
        self.bottom = residuals(latent_channels, 1)
        self.up = nn.ModuleList(Up(a, b) for a, b in pairwise(upwards))
        self.skips = nn.ModuleList(
            Pointwise(a, b) for a, b in zip(reversed(skip_channels), reversed(widths), strict=True)
        )
        self.gates = nn.ModuleList(Gate(width) for width in reversed(widths))
        self.blocks = nn.ModuleList(
            residuals(width, depth) for width, depth in zip(reversed(widths), reversed(depths), strict=True)
        )
        self.head = zero_conv(widths[0], 24, 3)
        self.reflection_head = zero_conv(widths[0], 12, 3)

    def features(self, latent: Tensor, skips: Skips, by: Modulations | None = None) -> Tensor:
        """Return the last level's features, at half the photo's size."""
        x = self.bottom(modulated(latent, by, 0))
        for level, photo in enumerate(reversed(skips[1:])):
            x, skip = self.up[level](x), self.skips[level](photo)
            x = modulated(x + self.gates[level](skip, x), by, level + 1)
            x = self.blocks[level](x)
        return x

    def forward(self, latent: Tensor, skips: Skips, by: Modulations | None = None) -> Tensor:
        """Return the tone maps."""
        return self.maps(self.features(latent, skips, by))

    def maps(self, features: Tensor) -> Tensor:
        """Map features to tone maps."""
        return F.pixel_shuffle(self.head(features), 2)

    def reflection(self, features: Tensor) -> Tensor:
        """Map features to the reflection, as a picture of its light."""
        return F.pixel_shuffle(self.reflection_head(features), 2)


class Local(nn.Module):
    """Predicts what is to be added to the coarse result, from that and the photo at full resolution.

    Its receptive field is ``halo`` pixels to each side and it takes no mean over the picture, so tiles agree with the
    whole.
    """

    def __init__(self, widths: tuple[int, int], depth: int) -> None:
        super().__init__()
        a, b = widths
        self.stem = nn.Conv2d(24, a, 3, padding=1)
        self.before, self.down = stack(a, depth), downsample(a, b)
        self.inner, self.up = stack(b, depth), Up(b, a)
        self.after, self.head = stack(a, depth), zero_conv(a, 12, 3)

    @property
    def idle(self) -> bool:
        """Whether it was never trained: its last layer, and so all that it adds, is zero."""
        return not any(bool(p.any()) for p in self.head.parameters())

    def forward(self, photo: Tensor, coarse: Tensor) -> Tensor:
        """Return the picture to add."""
        pixels = F.pixel_unshuffle(torch.cat([photo * 2 - 1, coarse - photo], 1), 2)
        x = self.before(self.stem(pixels.to(self.stem.weight.dtype)))
        x = self.after(x + self.up(self.inner(self.down(x))))
        return F.pixel_shuffle(self.head(x), 2)


def apply_tone(photo: Tensor, maps: Tensor) -> Tensor:
    """Return ``(1 + gain) * photo + offset``; ``maps`` is B x 6 x H x W, the gain's three channels first."""
    gain, offset = maps.chunk(2, dim=1)
    return photo * (1 + gain) + offset


def weight_global_affine(photo: Tensor, maps: Tensor, weight: float) -> Tensor:
    """Return ``maps`` with ``weight`` of the one affine change that they make to the whole picture.

    That change is, for each channel, the gain and offset that bring the result back to the photo best (least
    squares). Without it (0) the result keeps the photo's brightness and contrast.
    """
    if weight == 1.0:
        return maps
    gain, offset = maps.float().chunk(2, dim=1)
    result, shown = apply_tone(photo, maps).float().flatten(2), photo.float().flatten(2)
    r, p = result - result.mean(2, keepdim=True), shown - shown.mean(2, keepdim=True)
    back = (r * p).sum(2, keepdim=True) / (r**2).sum(2, keepdim=True).clamp(min=1e-6)
    shift = shown.mean(2, keepdim=True) - back * result.mean(2, keepdim=True)
    scale = (weight + (1 - weight) * back)[..., None]
    gain, offset = (1 + gain) * scale - 1, offset * scale + ((1 - weight) * shift)[..., None]
    return torch.cat([gain, offset], 1).to(maps.dtype)
