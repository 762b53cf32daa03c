"""The true tags of a run's photos, by the class in their names, and their dropout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from degradations.sample_rng import SampleRNG, Stream
from models.semantics.vocabulary import vocabulary
from training.data.semantic import split_of, tag_of


def for_training(files: Sequence[Path]) -> list[Path]:
    """Leave out the test photos of semantic guidance, whose classes the guide has not seen either.

    Raises:
        ValueError: No other photo is left, or none has a tag by its name.
    """
    kept = [file for file in files if split_of(file) != "test"]
    if not any(tag_of(file) for file in kept):
        raise ValueError(
            "data.guidance needs photos whose names begin with an ImageNet class id that has a tag, such as "
            "n02085620_Chihuahua.jpg, and that are not of the test split: data.clean has none."
        )
    return kept


def wrong_tags(tags: Tensor) -> Tensor:
    """Return wrong tags, B x tags: each sample's own, shifted by half the vocabulary."""
    return tags.roll(tags.shape[1] // 2, 1)


class TrueTags:
    """``table``: photos x tags of the vocabulary, 1 for what the photo's name says; a row of zeros says nothing."""

    def __init__(self, files: Sequence[Path], dropout: float, seed: int) -> None:
        self.dropout, self.seed = dropout, seed
        self.table = torch.zeros(len(files), len(vocabulary().tags))
        for row, file in enumerate(files):
            if (tag := tag_of(file)) is not None:
                self.table[row, vocabulary().tags.index(tag)] = 1.0

    def of(self, scenes: Sequence[int], places: Sequence[int | None]) -> Tensor:
        """Return the tags of the photos at ``places``, B x tags.

        A row is zero for a real pair (None) and where the tags are dropped out, which is drawn for each of ``scenes``.
        """
        rows = torch.zeros(len(places), self.table.shape[1])
        for row, (scene, place) in enumerate(zip(scenes, places, strict=True)):
            if place is not None and not SampleRNG(self.seed, scene, Stream.TAG_DROPOUT).chance(self.dropout):
                rows[row] = self.table[place]
        return rows
