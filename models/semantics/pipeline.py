"""The pipeline of semantic guidance: one photo in; words and a diagnosis out, in time that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.images import check_photo, to_tensor
from models.loading import load_network, save_network
from models.semantics.network import KINDS, SemanticsNetwork, detail_size, resize, whole_size
from models.semantics.vocabulary import vocabulary

THINNED_SIDE_FACTOR = 2  # a photo is thinned out to no less than this times the detail size first


@dataclass(frozen=True)
class ScoredTag:
    """How likely it is, in [0, 1], that the photo shows this."""

    name: str
    score: float


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a photo.

    Attributes:
        reflected: How likely it is that there is a reflection, 0 .. 1.
        reflection: How strong it then is: the share of the photo's light that it adds, 0 .. 1.
        blurred: How likely it is that the photo is blurred, 0 .. 1.
        blur: How far it then is blurred, 0 .. 1: 1 is a tenth of the photo's shorter side or more.
        kinds: How likely each of `KINDS` of blur is; they add up to 1.
        found: What is taken to be wrong, of "reflection" and "blur": those more likely than a threshold that leaves 95
            of 100 sharp, clean photos alone.
    """

    reflected: float
    reflection: float
    blurred: float
    blur: float
    kinds: dict[str, float]
    found: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The likeliest kind of blur; "sharp" where no blur is found."""
        blurs = {kind: share for kind, share in self.kinds.items() if kind != KINDS[0]}
        return max(blurs, key=lambda kind: blurs[kind]) if "blur" in self.found else KINDS[0]


@dataclass(frozen=True)
class Semantics:
    """What a photo shows, the likeliest first: coarse ``tags`` and everyday ``words``; and its ``diagnosis``."""

    tags: list[ScoredTag]
    words: list[ScoredTag]
    diagnosis: Diagnosis


class SemanticsPipeline:
    """Says what a photo shows and what is wrong with it; deterministic. Always float32, as it is small."""

    def __init__(self, network: SemanticsNetwork) -> None:
        self.network = network.float().eval().to(memory_format=torch.channels_last)
        self.device = next(network.parameters()).device
        known = vocabulary()
        self._tags = {name: list(known.members(name)) for name in known.tags}
        self._words = {name: list(known.members(name)) for name in known.words}

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa"
    ) -> SemanticsPipeline:
        """Load what :meth:`save_pretrained` wrote. Raises ModelError where the folder is not such a pipeline."""
        return cls(load_network(cls, SemanticsNetwork, Path(folder), device, torch.float32)[0])

    def save_pretrained(self, folder: str | Path, dtype: str = "float16") -> None:
        """Write the network, as safetensors, and ``pipeline.json``."""
        save_network(self, Path(folder), dtype, "9MB")

    @torch.inference_mode()
    def __call__(self, photo: np.ndarray) -> Semantics:
        """Look at ``photo``, H x W x 3 in [0, 1]. Raises ValueError for another."""
        logits, statistics = self.look(photo)
        shares = logits.softmax(1)[0]
        return Semantics(_scored(shares, self._tags), _scored(shares, self._words), self.diagnosis(statistics))

    def look(self, photo: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the classes' logits, 1 x 1000, and the statistics that the diagnosis reads, 1 x D, of a photo."""
        small = self.thin(photo)
        check_photo(small)
        network, picture = self.network, to_tensor(small, self.device).contiguous(memory_format=torch.channels_last)
        height, width = picture.shape[-2:]
        detail = resize(picture, *detail_size(height, width, network.config.detail_size))
        features = network.features(resize(detail, *whole_size(height, width, network.config.size)))
        return network.classify(features), network.statistics(features, detail)

    def diagnosis(self, statistics: torch.Tensor) -> Diagnosis:
        """Return the calibrated diagnosis from the statistics of one photo, 1 x D."""
        found = self.network.diagnose(statistics)
        temperatures, thresholds = self.network.config.temperatures, self.network.config.thresholds
        reflected = float((found.reflected / temperatures[0]).sigmoid())
        kinds = dict(zip(KINDS, (found.kinds[0] / temperatures[1]).softmax(0).tolist(), strict=True))
        likely = {"reflection": reflected, "blur": 1 - kinds[KINDS[0]]}
        return Diagnosis(
            reflected,
            float(found.reflection.sigmoid()),
            likely["blur"],
            float(found.blur.sigmoid()),
            kinds,
            tuple(name for (name, share), least in zip(likely.items(), thresholds, strict=True) if share > least),
        )

    def thin(self, photo: np.ndarray) -> np.ndarray:
        """Reduce a large photo to a grid of means of four pixels, still larger than what the network sees."""
        if photo.ndim != 3:
            return photo
        step = max(1, min(photo.shape[:2]) // (THINNED_SIDE_FACTOR * self.network.config.detail_size))
        if step == 1:
            return photo
        height, width = photo.shape[0] // step, photo.shape[1] // step
        phases = [(y, x) for y in (0, step // 2) for x in (0, step // 2)]
        parts = [photo[y::step, x::step][:height, :width] for y, x in phases]
        thinned: np.ndarray = np.stack(parts).mean(0, dtype=np.float32)
        return thinned


def _scored(shares: torch.Tensor, members: dict[str, list[int]]) -> list[ScoredTag]:
    """Add up the classes' probabilities by name, the likeliest first."""
    found: Iterable[ScoredTag] = (ScoredTag(name, float(shares[classes].sum())) for name, classes in members.items())
    return sorted(found, key=lambda tag: -tag.score)
