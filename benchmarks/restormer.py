"""Restormer (Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022).

A reference for speed, written from the paper with its published layout (48 channels, blocks 4, 6, 6, 8, refinement 4,
heads 1, 2, 4, 8, expansion 2.66, norms with bias, as for deblurring and deraining). Weights stay random, since only
the time matters.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.nafnet import ChannelNorm


class Attention(nn.Module):
    """Transposed attention, between channels: its cost is linear in the number of pixels."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map B x C x H x W to the same shape."""
        batch, channels, height, width = x.shape
        q, k, v = self.depthwise(self.qkv(x)).reshape(batch, 3, self.heads, -1, height * width).unbind(1)
        weights = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        return self.project((weights.softmax(-1) @ v).reshape(batch, channels, height, width))


class FeedForward(nn.Module):
    """Gated feed-forward network with depthwise convolutions."""

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map B x C x H x W to the same shape."""
        gate, value = self.depthwise(self.expand(x)).chunk(2, dim=1)
        return self.project(F.gelu(gate) * value)


class Block(nn.Module):
    """Attention and feed-forward network, each with norm and skip connection."""

    def __init__(self, channels: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.attention, self.feed_forward = Attention(channels, heads), FeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """Map B x C x H x W to the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class Restormer(nn.Module):
    """The network, B x 3 x H x W in and out, of any size (padded by reflection to a multiple of 8, then cropped)."""

    def __init__(
        self,
        width: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        expansion: float = 2.66,
    ) -> None:
        super().__init__()

        def level(channels: int, count: int, heads: int) -> nn.Sequential:
            return nn.Sequential(*[Block(channels, heads, expansion) for _ in range(count)])

        last = len(blocks) - 1
        widths = [width * 2**n for n in range(len(blocks))]
        self.multiple = 2**last
        self.embed = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.encoders = nn.ModuleList(level(*part) for part in zip(widths[:-1], blocks, heads, strict=False))
        self.downs = nn.ModuleList(_down(channels) for channels in widths[:-1])
        self.latent = level(widths[-1], blocks[-1], heads[-1])
        self.ups, self.reduces, self.decoders = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for n in reversed(range(last)):
            self.ups.append(_up(widths[n + 1]))
            # The finest level keeps all channels of the concatenation.
            self.reduces.append(nn.Conv2d(2 * widths[n], widths[n], 1, bias=False) if n else nn.Identity())
            self.decoders.append(level(widths[n] if n else 2 * width, blocks[n], heads[n]))
        self.refinement = level(2 * width, refinement, heads[0])
        self.output = nn.Conv2d(2 * width, 3, 3, padding=1, bias=False)

    def forward(self, photo: Tensor) -> Tensor:
        """Restore B x 3 x H x W."""
        height, width = photo.shape[-2:]
        photo = F.pad(photo, (0, -width % self.multiple, 0, -height % self.multiple), mode="reflect")
        x, skips = self.embed(photo), []
        for encode, down in zip(self.encoders, self.downs, strict=True):
            x = encode(x)
            skips.append(x)
            x = down(x)
        x = self.latent(x)
        for up, reduce, decode in zip(self.ups, self.reduces, self.decoders, strict=True):
            x = decode(reduce(torch.cat([up(x), skips.pop()], 1)))
        return (self.output(self.refinement(x)) + photo)[..., :height, :width]


def _down(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def _up(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))
