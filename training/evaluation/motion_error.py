"""Errors of an estimated motion field, and of the covariance of its blur.

The end-point error is in pixels, without sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.deblur.blur_field import double_angle, log_covariance, mean_covariance


@dataclass(frozen=True)
class MotionError:
    """Mean end-point error, and that of predicting zero (the mean length of the true vectors); px."""

    error: float
    zero: float

    @property
    def share(self) -> float:
        """The error as a part of predicting zero's; infinite where nothing moves but something was predicted."""
        if self.zero > 0:
            return self.error / self.zero
        return float("inf") if self.error > 0 else 0.0

    @staticmethod
    def mean(errors: Sequence[MotionError]) -> MotionError:
        """The mean over pictures of each of the two; the share of the means is not the mean of the shares."""
        return MotionError(float(np.mean([e.error for e in errors])), float(np.mean([e.zero for e in errors])))


def motion_error(predicted: Tensor, true: Tensor) -> MotionError:
    """The error of fields B x 2 x H x W, px: of a vector the smaller of ``|p - t|`` and ``|p + t|``.

    Blur does not tell forwards from backwards, so neither do its vectors (`degradations.blur`). Pixels whose
    true motion is not finite (real pairs') are left out. Raises ValueError for two shapes, for another number of
    channels, where no true motion is left, and where a prediction is not finite.
    """
    if predicted.shape != true.shape or predicted.ndim != 4 or predicted.shape[1] != 2:
        raise ValueError(
            f"a field of shape {tuple(predicted.shape)} cannot be compared with one of {tuple(true.shape)}: both must "
            "be B x 2 x H x W."
        )
    predicted, true = predicted.float(), true.float()
    known = true.isfinite().all(1)
    if not known.any():
        raise ValueError("no true motion is known in these fields.")
    apart = torch.minimum((predicted - true).norm(dim=1), (predicted + true).norm(dim=1))[known]
    if not apart.isfinite().all():
        raise ValueError("the predicted field has values that are not finite.")
    return MotionError(float(apart.double().mean()), float(true.norm(dim=1)[known].double().mean()))


def covariance_error(found: Tensor, motion: Tensor, defocus: Tensor) -> Tensor:
    """Return how far the covariance ``found`` of a photo's blur is from the mean of the true one.

    That is the mean absolute difference of the logarithms (`models.deblur.blur_field.log_covariance`), B.

    Args:
        found: B x 2 x 2, px².
        motion: The simulator's, B x 2 x H x W, in pixels.
        defocus: The simulator's, B x 1 x H x W, in pixels.
    """
    true = mean_covariance(double_angle(motion).permute(0, 2, 3, 1), defocus[:, 0])
    return (log_covariance(found) - log_covariance(true)).abs().mean(1)
