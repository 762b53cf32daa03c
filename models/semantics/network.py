"""What a photo shows and what is wrong with it: EfficientNet-Lite0 with its ImageNet classifier, and two small heads.

The classifier's rows are embeddings of the classes in the space of the features, so that the product of features and a
row is a map of where in the photo that class is (class activation map, Zhou et al., CVPR 2016).

ImageNet features hardly change with blur, which the classifier need not know. So the heads of the diagnosis read
statistics of the features of several levels, besides of the encoder's first levels on a larger picture
(:meth:`SemanticsNetwork.statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.efficientnet_lite import EfficientNetLite, fold_batch_norm

CLASSES = 1000  # of ImageNet, in the order of their WordNet ids
KINDS = ("sharp", "motion", "defocus", "both")  # kinds of blur
DETAIL_LEVELS = 3  # levels of the encoder, 1/2 to 1/8, that see the larger picture
WHOLE_LEVELS = (2, 3, 4)  # levels whose statistics of the whole photo are used: 1/8 to 1/32
CELLS = 4  # the larger picture's statistics are taken in a grid of so many cells across and down


class Features(NamedTuple):
    """``levels``: those of the encoder, 1/2 to 1/32 of the photo's size; ``top``: what the classifier reads, 1/32."""

    levels: list[Tensor]
    top: Tensor


class Findings(NamedTuple):
    """What the heads say of B photos, as logits (before calibration).

    ``reflected``: that there is a reflection, B; ``reflection``: the share of the photo's light that it adds, B;
    ``kinds``: of `KINDS`, B x 4; ``blur``: the blur's extent, B, of :attr:`SemanticsNetwork.max_blur`.
    """

    reflected: Tensor
    reflection: Tensor
    kinds: Tensor
    blur: Tensor


class SemanticsNetwork(ModelMixin, ConfigMixin):
    """The network.

    Args:
        width: Factor on all channels of the encoder; 1 is the published network.
        features: Channels that the classifier reads.
        size: The whole photo is looked at with about ``size`` x ``size`` px, its shape kept.
        detail_size: Shorter side in pixels of the larger picture, of which the encoder's first levels take statistics;
            a smaller photo is not enlarged.
        hidden: Hidden units of each head of the diagnosis.
        temperatures: What the logits of reflection and of kinds of blur are divided by, so that the likelihoods are
            right (`training.tasks.semantics.calibration`).
        thresholds: Likelihoods of a reflection and of blur above which a photo is said to have one.
    """

    config_name = "config.json"
    multiple = 32
    max_blur = 0.1  # extent of a blur, share of the photo's shorter side, that counts as 1

    @register_to_config
    def __init__(
        self,
        width: float = 1.0,
        features: int = 1280,
        size: int = 224,
        detail_size: int = 384,
        hidden: int = 48,
        temperatures: tuple[float, float] = (1.0, 1.0),
        thresholds: tuple[float, float] = (0.5, 0.5),
    ) -> None:
        super().__init__()
        if size % self.multiple or detail_size % self.multiple:
            raise ValueError(f"size and detail_size must be multiples of {self.multiple}; got {size}, {detail_size}.")
        self.encoder = EfficientNetLite(width)
        self.head = nn.Conv2d(self.encoder.channels[-1], features, 1)
        self.classifier = nn.Linear(features, CLASSES)
        channels = self.encoder.channels
        self.whole_statistics = 2 * sum(channels[level] for level in WHOLE_LEVELS) + features
        count = self.whole_statistics + 4 * sum(channels[:DETAIL_LEVELS])
        self.diagnosis = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.BatchNorm1d(count, affine=False),
                    nn.Dropout(0.0),  # of the inputs; a stage of training sets the share
                    nn.Linear(count, hidden),
                    nn.GELU(),
                    nn.Linear(hidden, outputs),
                )
                for name, outputs in (("reflection", 2), ("blur", len(KINDS) + 1))
            }
        )

    @classmethod
    def extract_init_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Split a configuration as diffusers does, without ``dropout``, which that of revision 2 still has."""
        kept = {name: value for name, value in config_dict.items() if name != "dropout"}
        return super().extract_init_dict(kept, **kwargs)

    @torch.no_grad()
    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Load the weights of the published classifier; raises as `EfficientNetLite.load_published` does."""
        self.encoder.load_published(weights)
        self.head.load_state_dict(fold_batch_norm(weights, "_conv_head", "_bn1"))
        self.classifier.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})

    def forward(self, photo: Tensor) -> Tensor:
        """Return the classes' logits, B x 1000, of B x 3 x H x W in [0, 1], sides multiples of 32."""
        return self.classify(self.features(photo))

    def features(self, photo: Tensor) -> Features:
        """Return the features of a photo, B x 3 x H x W in [0, 1], sides multiples of 32."""
        levels = self.encoder(photo)
        return Features(levels, F.relu6(self.head(levels[-1])))

    def classify(self, features: Features) -> Tensor:
        """Return the classes' logits, B x 1000."""
        logits: Tensor = self.classifier(features.top.mean((2, 3)))
        return logits

    def activation_maps(self, features: Features, classes: Sequence[int]) -> Tensor:
        """Return where the classes are, B x len(classes) x H/32 x W/32; their means over a map are logits."""
        rows = self.classifier.weight[list(classes)], self.classifier.bias[list(classes)]
        return F.conv2d(features.top, rows[0][..., None, None], rows[1])

    def statistics(self, features: Features, detail: Tensor) -> Tensor:
        """Return what the diagnosis reads, B x D, of a photo's features and of the larger picture, B x 3 x H x W.

        Of the whole photo: mean and logarithm of the standard deviation of each channel of `WHOLE_LEVELS`, and the
        mean of the top. Of the larger picture, whose sides are multiples of 32: the mean of each channel of the first
        levels, and mean, highest and lowest of the logarithm of its standard deviation in the cells of a grid (a sharp
        subject before a blurred background is no blurred photo).
        """
        found = []
        for place in WHOLE_LEVELS:
            mean, spread = moments(features.levels[place], 1)
            found += [mean, spread]
        found.append(features.top.float().mean((2, 3))[..., None])
        for level in self.encoder.first_levels(detail, DETAIL_LEVELS):
            mean, spread = moments(level, CELLS)
            found += [mean.mean(2, keepdim=True), spread.mean(2, keepdim=True)]
            found += [spread.amax(2, keepdim=True), spread.amin(2, keepdim=True)]
        return torch.cat(found, 1)[..., 0]

    def diagnose(self, statistics: Tensor) -> Findings:
        """Return what the heads say of statistics, B x D."""
        reflection = self.diagnosis["reflection"](statistics)
        blur = self.diagnosis["blur"](statistics)
        return Findings(reflection[:, 0], reflection[:, 1], blur[:, :-1], blur[:, -1])


def moments(x: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return mean and logarithm of the standard deviation of B x C x H x W in a grid of cells: each B x C x cells²."""
    x = x.float()
    mean = F.adaptive_avg_pool2d(x, cells)
    variance = (F.adaptive_avg_pool2d(x * x, cells) - mean * mean).clamp(min=0)
    return mean.flatten(2), (variance + 1e-4).log().flatten(2) / 2


def resize(photo: Tensor, height: int, width: int) -> Tensor:
    """Resize B x 3 x H x W, antialiased; one of that size stays."""
    if photo.shape[-2:] == (height, width):
        return photo
    return F.interpolate(photo, (height, width), mode="bilinear", antialias=True)


def whole_size(height: int, width: int, size: int, multiple: int = SemanticsNetwork.multiple) -> tuple[int, int]:
    """Return the sides, multiples of ``multiple``, at which a photo is looked at: about size² px, its shape kept.

    A very long one is squeezed.
    """
    scale, longest = size / (height * width) ** 0.5, size * size // multiple**2
    sides = (min(max(round(side * scale / multiple), 1), longest) * multiple for side in (height, width))
    return next(sides), next(sides)


def detail_size(height: int, width: int, side: int, multiple: int = SemanticsNetwork.multiple) -> tuple[int, int]:
    """Return the sides of the larger picture: the shorter one ``side`` at most, the longer one at most twice that."""
    scale = min(1.0, side / min(height, width), 2 * side / max(height, width))
    sides = (max(multiple, round(length * scale / multiple) * multiple) for length in (height, width))
    return next(sides), next(sides)
