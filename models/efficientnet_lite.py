"""EfficientNet-Lite0 (Tan and Le, ICML 2019; Liu, 2020) as an encoder, its batch norms folded into the convolutions.

The layout is that of the published ImageNet classifier, so that its weights can be loaded
(:func:`from_published`). Batch norm is folded because frozen statistics are cheapest that way.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (expansion, channels out, blocks, stride of the first block, kernel size)
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM_CHANNELS = 32
MEAN, STD = 0.498, 0.502  # of every channel, as the published weights expect
BATCH_NORM_EPSILON = 1e-3


def _pad_same(x: Tensor, kernel: int) -> Tensor:
    """Pad B x C x H x W with zeros for a convolution of stride 2 as TensorFlow does ("SAME")."""
    height, width = (max(0, (-(-side // 2) - 1) * 2 + kernel - side) for side in x.shape[-2:])
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (MobileNetV2's block, Sandler et al., CVPR 2018), B x C x H x W."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.kernel, self.stride = kernel, stride
        self.residual = stride == 1 and inside == outside
        self.expand = nn.Conv2d(inside, wide, 1) if expansion > 1 else None
        padding = kernel // 2 if stride == 1 else 0
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, padding, groups=wide)
        self.project = nn.Conv2d(wide, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block on B x C x H x W."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        if self.stride == 2:
            y = _pad_same(y, self.kernel)
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """Pictures, B x C x H x W in [0, 1], to the features of each level, from 1/2 of their size down to 1/32.

    ``width``: factor on all channel counts (1: the published network; less for tests). ``extra_channels``: inputs
    beside red, green and blue; they are passed on as they are, and the weights that read them start at zero.
    ``channels``: of the levels that :meth:`forward` returns.
    """

    def __init__(self, width: float = 1.0, extra_channels: int = 0) -> None:
        super().__init__()
        inside = max(4, round(STEM_CHANNELS * width))
        self.extra_channels = extra_channels
        self.stem = nn.Conv2d(3 + extra_channels, inside, 3, 2)
        blocks, self.ends, channels = [], [], []
        for number, (expansion, outside, count, stride, kernel) in enumerate(STAGES):
            outside = max(4, round(outside * width))
            for place in range(count):
                blocks.append(InvertedResidual(inside, outside, expansion, kernel, stride if place == 0 else 1))
                inside = outside
            if number == len(STAGES) - 1 or STAGES[number + 1][3] == 2:
                self.ends.append(len(blocks) - 1)
                channels.append(outside)
        self.blocks = nn.ModuleList(blocks)
        self.channels = tuple(channels)
        with torch.no_grad():
            self.stem.weight[:, 3:].zero_()

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Return the levels' features, 1/2 first. Sides must be multiples of 32."""
        return self.first_levels(picture, len(self.ends))

    def first_levels(self, picture: Tensor, count: int) -> list[Tensor]:
        """Return the features of the first ``count`` levels only, which takes less time."""
        x = self.normalise(picture)
        x = F.relu6(self.stem(_pad_same(x, 3)))
        levels = []
        for place, block in enumerate(self.blocks[: self.ends[count - 1] + 1]):
            x = block(x)
            if place in self.ends:
                levels.append(x)
        return levels

    def normalise(self, picture: Tensor) -> Tensor:
        """Normalise red, green and blue as the published weights expect; other channels stay."""
        colour = (picture[:, :3] - MEAN) / STD
        if self.extra_channels:
            colour = torch.cat([colour, picture[:, 3:]], 1)
        return colour.to(self.stem.weight.dtype)

    @torch.no_grad()
    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Load the weights of the published classifier, with its batch norms folded in.

        Their names are ``_conv_stem.weight``, ``_blocks.0._bn1.bias`` and so on.

        Raises:
            KeyError: A weight is missing; the error names it.
            RuntimeError: Weights do not fit the network; the error names them.
        """
        folded = {"stem": fold_batch_norm(weights, "_conv_stem", "_bn0")}
        for place, block in enumerate(self.blocks):
            at = f"_blocks.{place}."
            if block.expand is not None:
                folded[f"blocks.{place}.expand"] = fold_batch_norm(weights, at + "_expand_conv", at + "_bn0")
            folded[f"blocks.{place}.depthwise"] = fold_batch_norm(weights, at + "_depthwise_conv", at + "_bn1")
            folded[f"blocks.{place}.project"] = fold_batch_norm(weights, at + "_project_conv", at + "_bn2")
        state = {f"{name}.{part}": value for name, parts in folded.items() for part, value in parts.items()}
        extra = self.stem.weight.new_zeros(self.stem.out_channels, self.extra_channels, 3, 3)
        state["stem.weight"] = torch.cat([state["stem.weight"], extra], 1)
        self.load_state_dict(state)


def fold_batch_norm(weights: Mapping[str, Tensor], convolution: str, norm: str) -> dict[str, Tensor]:
    """Return weight and bias of a convolution that equals ``convolution`` followed by the batch norm ``norm``."""
    scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    return {
        "weight": weights[f"{convolution}.weight"] * scale[:, None, None, None],
        "bias": weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale,
    }
