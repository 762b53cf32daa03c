"""The files behind a run's samples: sharp photos and real pairs, split into training and validation by name."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from degradations.sample_rng import SampleRNG
from training.core.config import PhotoConfig
from training.data.manifest import list_images, manifest_hash
from training.data.pairs import Pair, PairStore, find_pairs
from training.data.photos import WHOLE, PhotoStore
from training.data.tags import TrueTags, for_training

Batch = dict[str, Tensor]


def held_out(name: str, share: float) -> bool:
    """Return True for a file of the validation split: by a hash of its stem, the same in every run."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < share


def photo_files(config: PhotoConfig) -> list[Path]:
    """List every sharp photo of a run, those it holds out too; DataError for a folder that has none."""
    photos = [f for folder in config.clean for f in list_images(config.root / folder)]
    if config.limit is not None and config.limit < len(photos):  # evenly over all of them
        photos = [photos[place * len(photos) // config.limit] for place in range(config.limit)]
    return for_training(photos) if config.guidance else photos


def split(files: Sequence[Path], hold_out: float, validation: bool) -> list[Path]:
    """Return one side of the split, by name; all files, where few files would leave it empty."""
    kept = [f for f in files if held_out(f.stem, hold_out) == validation]
    return kept or list(files)


def split_pairs(config: PhotoConfig, folder: str, pairs: Sequence[Pair], validation: bool) -> list[Pair]:
    """Return one side of the split of the pairs of ``folder``.

    Pairs are split by the names listed in ``held_pairs`` (so that all pairs of a scene are on one side), else by a hash
    of each name. Those of an ``unsplit`` folder are all for training.
    """
    if folder in config.unsplit:
        return [] if validation else list(pairs)
    if folder in config.held_pairs:
        listed = tuple(config.held_pairs[folder])
        return [pair for pair in pairs if pair.stem.startswith(listed) == validation]
    kept = set(split([pair.input for pair in pairs], config.hold_out, validation))
    return [pair for pair in pairs if pair.input in kept]


class Sources:
    """The data of a run, decoded once.

    They are ``photos``, ``pairs`` with their ``weights`` and ``pair_names``, and with guidance ``tags``. With
    ``validation=True`` they are those held out from training; ``files`` are those of both sides. Raises DataError.
    """

    def __init__(self, config: PhotoConfig, seed: int, validation: bool = False) -> None:
        self.seed, self.validation = seed, validation
        self._root, self._smallest = config.root, config.smallest
        photos = photo_files(config)
        self.photos = PhotoStore(split(photos, config.hold_out, validation), config.store_side)
        self.tags: TrueTags | None = None
        if config.guidance:  # validation compares with and without tags, so none are dropped
            self.tags = TrueTags(self.photos.files, 0.0 if validation else config.guidance.dropout, seed)
        self.files = [*photos]
        self._load_pairs(config)

    def _load_pairs(self, config: PhotoConfig) -> None:
        """Decode this side's real pairs into ``pairs``, and list those of both sides in ``files``."""
        self.pairs, self.weights, self.pair_names = [], [], []
        for folder, weight in config.pairs.items():
            pairs = sorted(find_pairs(config.root / folder), key=lambda pair: pair.stem)
            self.files += [file for pair in pairs for file in (pair.input, pair.target)]
            if kept := split_pairs(config, folder, pairs, self.validation):
                self.pairs.append(PairStore(kept, config.store_side))
                self.weights.append(weight)
                self.pair_names.append(Path(folder).name)

    def prepare(self, indices: Sequence[int], size: int) -> Any:
        """Do the part of :meth:`batch` that is done ahead, on the CPU, in other processes (`training.core.feed`)."""
        return self.batch(indices, size)

    def finish(self, prepared: Any, indices: Sequence[int], device: torch.device | str) -> Batch:
        """Do the rest of :meth:`batch`, on ``device``."""
        return {name: value.to(device) for name, value in prepared.items()}

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        """Make the samples ``indices``, pictures of ``size`` x ``size`` px, by name."""
        raise NotImplementedError

    def whole_photos(self, size: int, most: int = 16) -> list[Tensor]:
        """Take at most ``most`` sharp photos, spread over all of them, 3 x size x size in [0, 1]."""
        photos = self.photos.photos[:: max(1, len(self.photos) // most)][:most]
        return [WHOLE.take(photo, size) for photo in photos]

    def manifest(self) -> str:
        """Return one hash over every file of the run, both sides of the split."""
        return manifest_hash(self.files, self._root)

    def _tag_rows(self, scenes: Sequence[int], places: Sequence[int | None], device: torch.device | str) -> Batch:
        """Give the entry ``tags`` of a batch (B x tags) for the photos at ``places``; empty without guidance."""
        return {} if self.tags is None else {"tags": self.tags.of(scenes, places).to(device)}

    def _draw_pair(self, rng: SampleRNG, size: int) -> tuple[Tensor, Tensor]:
        place = int(np.searchsorted(np.cumsum(self.weights), rng.uniform(0, sum(self.weights))))
        return self.pairs[min(place, len(self.pairs) - 1)].draw(rng, size, self._smallest)
