"""Samples for dereflection: simulated glass over sharp photos, mixed with real pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.config import DataConfig
from training.data.draws import Draws
from training.data.exposure import match_exposure
from training.data.glass import View, draw_scene, draw_view, simulate
from training.data.layers import real_layer, under_layer
from training.data.manifest import list_images, manifest_hash
from training.data.pairs import PairStore, match_pairs
from training.data.photos import PhotoStore

Batch = dict[str, Tensor]
VALIDATION_STREAM = 1  # 0 is training's; training.train and training.objective have 3 and 2
VIEW_STREAM = 4  # and 5: the views of validation


def held_out(name: str, share: float) -> bool:
    """Whether a file belongs to the validation split: by a hash of its stem, the same in every run."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < share


class Reflections:
    """The training samples of a run, or with ``validation=True`` those held out from it.

    ``batch(indices, size)`` gives ``input`` and ``target``, B x 3 x size x size in [0, 1], and ``real`` (B,
    bool). Sample *i* depends on (seed, i, size) alone, up to rounding: blur is computed for the batch together.
    With ``views`` above 1, samples i * views .. i * views + views - 1 are views of one scene, under K poses of the
    pane; without ``rotate`` each of them has a reflection of its own. Real pairs take the place of whole scenes. A
    ``layer_share`` of the scenes have the reflections of real pairs over them, one a view.
    """

    def __init__(self, config: DataConfig, seed: int, validation: bool = False) -> None:
        self.config, self.seed, self.validation = config, seed, validation
        self.glass = config.glass
        photos = [f for folder in config.clean for f in list_images(config.root / folder)]
        if config.limit is not None:
            photos = photos[:: max(1, len(photos) // config.limit)][: config.limit]
        self.photos = PhotoStore(self._split(photos), config.store_side)
        self.pairs, self.weights = [], []
        self.files = [*photos]
        for folder, weight in config.pairs.items():
            pairs = match_pairs(config.root / folder)
            self.files += [f for pair in pairs for f in pair]
            if folder in config.unsplit:
                kept = set() if validation else {a for a, _ in pairs}
            else:
                kept = set(self._split([a for a, _ in pairs]))
            if kept:
                self.pairs.append(PairStore([p for p in pairs if p[0] in kept], config.store_side))
                self.weights.append(weight)

    def _split(self, files: Sequence[Path]) -> list[Path]:
        kept = [f for f in files if held_out(f.stem, self.config.hold_out) == self.validation]
        return kept or list(files)  # a folder of a handful of photos may leave one side of the split empty

    def manifest(self) -> str:
        """One hash over every file of the run, both sides of the split."""
        return manifest_hash(self.files, self.config.root)

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        rows: list[tuple[Tensor, Tensor, bool]] = [(torch.empty(0), torch.empty(0), False)] * len(indices)
        simulated = []
        for row, index in enumerate(indices):
            drawn = self._draw(index, size)
            if isinstance(drawn[2], View):
                simulated.append((row, *drawn))
            else:
                rows[row] = (drawn[0], drawn[1], drawn[2])
        if simulated:
            places, sharp, reflected, views = zip(*simulated, strict=True)
            mixed = simulate(torch.stack(sharp).to(device), torch.stack(reflected).to(device), list(views))
            for place, photo, target in zip(places, mixed["input"], mixed["target"], strict=True):
                rows[place] = (photo, target, False)
        return {
            "input": torch.stack([a.to(device) for a, _, _ in rows]),
            "target": torch.stack([b.to(device) for _, b, _ in rows]),
            "real": torch.tensor([real for _, _, real in rows], device=device),
        }

    def _draw(self, index: int, size: int) -> tuple[Tensor, Tensor, View | bool]:
        """(input, target, whether a real pair), or (transmission, reflected scene, view)."""
        draws = Draws(self.seed, index // self.config.views, VALIDATION_STREAM if self.validation else 0)
        own = Draws(self.seed, index, VIEW_STREAM + int(self.validation))
        if self.pairs and draws.chance(self.config.pair_share):
            photo, filmed = self._draw_pair(own, size)
            return photo, match_exposure(filmed, photo), True
        t = self.photos.draw(draws, size, self.config.smallest)
        if self.pairs and draws.chance(self.config.layer_share):
            return under_layer(t, real_layer(*self._draw_pair(own, size)), own), t, False
        r = self.photos.draw(draws if self.config.rotate else own, size, self.config.smallest)
        return t, r, draw_view(own, draw_scene(draws, self.glass), size, size, self.glass)

    def _draw_pair(self, draws: Draws, size: int) -> tuple[Tensor, Tensor]:
        place = int(np.searchsorted(np.cumsum(self.weights), draws.uniform(0, sum(self.weights))))
        return self.pairs[min(place, len(self.pairs) - 1)].draw(draws, size, self.config.smallest)
