"""NAFNet (Chen et al., "Simple Baselines for Image Restoration", ECCV 2022), as a reference for speed.

Written from the paper, with the layout of its width-32 GoPro model: encoder 1, 1, 1, 28; middle 1; decoder 1, 1, 1, 1;
17.1 M parameters. Weights stay random, since only the time matters.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn, zeros

from models.blocks import ChannelNorm  # one fused kernel in channels_last, of the published arithmetic's result


class Block(nn.Module):
    """Two gated halves: depthwise 3x3 with simplified channel attention, then a pointwise feed-forward."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.expand1 = nn.Conv2d(channels, wide, 1)
        self.depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.project1 = nn.Conv2d(channels, channels, 1)
        self.expand2 = nn.Conv2d(channels, wide, 1)
        self.project2 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map B x C x H x W to the same shape."""
        y = _gate(self.depthwise(self.expand1(self.norm1(x))))
        x = x + self.project1(y * self.attention(y)) * self.beta
        return x + self.project2(_gate(self.expand2(self.norm2(x)))) * self.gamma


class NAFNet(nn.Module):
    """The network, B x 3 x H x W in and out, of any size (zero-padded to a multiple of 2 ** levels, then cropped)."""

    def __init__(
        self,
        width: int = 32,
        encoder: Sequence[int] = (1, 1, 1, 28),
        middle: int = 1,
        decoder: Sequence[int] = (1, 1, 1, 1),
    ) -> None:
        super().__init__()
        self.multiple = 2 ** len(encoder)
        self.intro = nn.Conv2d(3, width, 3, padding=1)
        self.ending = nn.Conv2d(width, 3, 3, padding=1)
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        channels = width
        for blocks in encoder:
            self.encoders.append(_blocks(channels, blocks))
            self.downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            channels *= 2
        self.middle = _blocks(channels, middle)
        self.ups, self.decoders = nn.ModuleList(), nn.ModuleList()
        for blocks in decoder:
            self.ups.append(nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2)))
            channels //= 2
            self.decoders.append(_blocks(channels, blocks))

    def forward(self, photo: Tensor) -> Tensor:
        """Restore B x 3 x H x W."""
        height, width = photo.shape[-2:]
        photo = F.pad(photo, (0, -width % self.multiple, 0, -height % self.multiple))
        x = self.intro(photo)
        skips = []
        for encode, down in zip(self.encoders, self.downs, strict=True):
            x = encode(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for decode, up in zip(self.decoders, self.ups, strict=True):
            x = decode(up(x) + skips.pop())
        return (self.ending(x) + photo)[..., :height, :width]


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[Block(channels) for _ in range(count)])


def _gate(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    return first * second
