"""What the dereflection pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


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
