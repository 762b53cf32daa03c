"""Pictures that training held out, whole, for validation."""

from __future__ import annotations

from torch import Tensor

from training.data.photos import Crop
from training.data.sources import Sources


def held_out_pictures(data: Sources, size: int) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Take every real pair and at most 16 sharp photos of a validation split, whole, 3 x size x size in [0, 1]."""
    whole = Crop(0, 0, 1, 1, False)
    pairs = [(whole.take(a, size), whole.take(b, size)) for store in data.pairs for a, b in store.pairs]
    photos = data.photos.photos[:: max(1, len(data.photos) // 16)][:16]
    return pairs, [whole.take(photo, size) for photo in photos]
