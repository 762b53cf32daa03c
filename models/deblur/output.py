"""What the deblurring pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch.nn.functional as F

from models.arrays import to_array, to_tensor
from models.deblur.blur_field import to_vector
from models.deblur.motion import CELL_PX


@dataclass
class DeblurOutput:
    """The result of a deblurring run.

    Attributes:
        image, prerestored: H x W x 3 float32, sRGB in [0, 1].
        cells: The blur of each cell of 8 px, ceil(H/8) x ceil(W/8) x 3 float32: motion at twice its angle, and the
            radius of the defocus disc, in pixels.
        plan: The tiles.
        notes: Sentences for the user.
        info: JSON: the detail setting and the guard's counts.
        kernel: The whole photo's kernel, K x K float32 of sum 1; None where the network estimates none.
    """

    image: np.ndarray
    prerestored: np.ndarray
    cells: np.ndarray
    plan: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    kernel: np.ndarray | None = None

    @property
    def motion(self) -> np.ndarray:
        """The motion blur of each pixel, H x W x 2 float32, (dx, dy) in pixels; computed on access.

        Vectors are in the half-plane dx >= 0, since a motion blur has no sign.
        """
        height, width = self.image.shape[:2]
        # At twice the angle, where neighbours that differ in sign alone are equal.
        double = to_tensor(self.cells[..., :2])
        fine = F.interpolate(double, scale_factor=CELL_PX, mode="bilinear")[..., :height, :width]
        return to_array(to_vector(fine))
