"""Building blocks of the small networks: residual blocks, and gated ones after NAFNet (arXiv 2204.04676)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of a B x C x H x W tensor, fast in ``channels_last``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each pixel."""
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return y.permute(0, 3, 1, 2)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution as a matrix product over channels: faster on a CPU, in float32 and ``channels_last``."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve B x C x H x W."""
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class GatedBlock(nn.Module):
    """NAFNet's block without channel attention, so that tiles agree with the whole; B x C x H x W to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.norm1 = ChannelNorm(channels)
        self.in1 = Pointwise(channels, wide)
        self.depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.out1 = Pointwise(channels, channels)
        self.norm2 = ChannelNorm(channels)
        self.in2 = Pointwise(channels, wide)
        self.out2 = Pointwise(channels, channels)
        self.scale1 = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.scale2 = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add both branches to B x C x H x W."""
        a, b = self.depthwise(self.in1(self.norm1(x))).chunk(2, dim=1)
        x = x + self.out1(a * b) * self.scale1
        a, b = self.in2(self.norm2(x)).chunk(2, dim=1)
        return x + self.out2(a * b) * self.scale2


def stack(channels: int, count: int) -> nn.Sequential:
    """Chain ``count`` gated blocks."""
    return nn.Sequential(*(GatedBlock(channels) for _ in range(count)))


class ResidualBlock(nn.Module):
    """Group norm and two 3x3 convolutions around a SiLU (after He et al., ECCV 2016), B x C x H x W to the same.

    The norm averages over the picture (``context=False``: over the channels of each pixel, so that tiles agree with the
    whole). Dense convolutions run near a CPU's full rate, so that the block learns more per hour than a gated one.
    """

    def __init__(self, channels: int, context: bool = True) -> None:
        super().__init__()
        groups = max(1, min(8, channels // 4))
        self.norm = nn.GroupNorm(groups, channels) if context else ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to B x C x H x W."""
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


def residuals(channels: int, count: int, context: bool = True) -> nn.Sequential:
    """Chain ``count`` residual blocks."""
    return nn.Sequential(*(ResidualBlock(channels, context) for _ in range(count)))


def downsample(inside: int, outside: int) -> nn.Conv2d:
    """Make a 2x2 convolution of stride 2, which halves height and width."""
    return nn.Conv2d(inside, outside, 2, stride=2)


class Up(nn.Module):
    """A pointwise convolution and a pixel shuffle, which double height and width."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = Pointwise(inside, outside * 4)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge B x C x H x W."""
        return F.pixel_shuffle(self.conv(x), 2)


def zero_conv(inside: int, outside: int, size: int = 1) -> nn.Conv2d:
    """Make a convolution with zero weights, so that adding its output changes nothing before it is trained."""
    conv = nn.Conv2d(inside, outside, size, padding=size // 2)
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
