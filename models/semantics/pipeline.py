"""The tagging pipeline: one photo in, scored tags out, in time that does not grow with the photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.images import check_photo, to_tensor
from models.loading import load_network, save_network
from models.semantics.network import TagNetwork, squeeze

THINNED_SIDE_FACTOR = 4  # times the network's size: a larger photo is thinned out to about this first


@dataclass(frozen=True)
class ScoredTag:
    """How likely it is, in [0, 1], that the photo shows this; tags do not exclude each other."""

    name: str
    score: float


class SemanticsPipeline:
    """Scores coarse tags for a photo, the most likely first; deterministic. Always float32, as it is small."""

    def __init__(self, network: TagNetwork) -> None:
        self.network = network.float().eval()
        self.device = next(network.parameters()).device

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa"
    ) -> SemanticsPipeline:
        """Load what :meth:`save_pretrained` wrote. Raises ModelError where the folder is not such a pipeline."""
        return cls(load_network(cls, TagNetwork, Path(folder), device, torch.float32)[0])

    def save_pretrained(self, folder: str | Path, dtype: str = "float16") -> None:
        """Write the network, as safetensors, and ``pipeline.json``."""
        save_network(self, Path(folder), dtype, "9MB")

    @torch.inference_mode()
    def __call__(self, photo: np.ndarray) -> list[ScoredTag]:
        """Score all tags of ``photo``, H x W x 3 in [0, 1], the most likely first. Raises ValueError for another."""
        small = self.thin(photo)
        check_photo(small)
        x = squeeze(to_tensor(small, self.device), self.network.size)
        scores = self.network(torch.cat([x, x.flip(-1)])).sigmoid().mean(0).tolist()
        found = [ScoredTag(name, score) for name, score in zip(self.network.tags, scores, strict=True)]
        return sorted(found, key=lambda tag: -tag.score)

    def thin(self, photo: np.ndarray) -> np.ndarray:
        """Reduce a large photo to a grid of means of four pixels, still larger than the network's input."""
        if photo.ndim != 3:
            return photo
        down, across = (max(1, side // (THINNED_SIDE_FACTOR * self.network.size)) for side in photo.shape[:2])
        if down == across == 1:
            return photo
        height, width = photo.shape[0] // down, photo.shape[1] // across
        phases = [(y, x) for y in {0, down // 2} for x in {0, across // 2}]
        parts = [photo[y::down, x::across][:height, :width] for y, x in phases]
        thinned: np.ndarray = np.stack(parts).mean(0, dtype=np.float32)
        return thinned
