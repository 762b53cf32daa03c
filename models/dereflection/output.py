"""What the dereflection pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.arrays import to_array
from models.colour import to_linear, to_srgb


@dataclass
class DereflectionOutput:
    """The result of a dereflection run.

    Attributes:
        image, reflection: H x W x 3 float32, sRGB in [0, 1]. The reflection is None where it was not asked for.
        plan: The tiles.
        notes: Sentences for the user.
    """

    image: np.ndarray
    reflection: np.ndarray | None
    plan: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def pictures_of(photos: Tensor, restored: Tensor, channels: int) -> list[np.ndarray]:
    """Return, for each picture of a batch, the restored picture and, of 6 channels, the light that was removed."""
    image = restored.float().clamp(0, 1)
    if channels == 3:
        return [to_array(one[None]) for one in image]
    both = torch.cat([image, to_srgb(to_linear(photos) - to_linear(image))], 1)
    return [to_array(one[None]) for one in both]
