"""Photos that training held out, whole, for validation."""

from __future__ import annotations

from torch import Tensor

from training.data.photos import WHOLE
from training.data.sources import Sources

MAX_PHOTOS = 16


def whole_photos(data: Sources, size: int) -> list[Tensor]:
    """Take at most `MAX_PHOTOS` sharp photos of a validation split, spread over it, 3 x size x size in [0, 1]."""
    photos = data.photos.photos[:: max(1, len(data.photos) // MAX_PHOTOS)][:MAX_PHOTOS]
    return [WHOLE.take(photo, size) for photo in photos]
