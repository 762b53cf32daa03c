"""Whether a photo shows a reflection, judged by what a dereflection network would change in it.

A network that removes reflections has learnt where they are from far more samples than a classifier's head. The
measure is the root mean square of its change, after the change of brightness and contrast is taken out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F

from models.images import affine_residual, to_array, to_tensor

DETECTION_SIDE_PX = 512  # longest side of the picture that is looked at


def overview(photo: np.ndarray) -> np.ndarray:
    """Reduce a photo, H x W x 3 in [0, 1], to at most `DETECTION_SIDE_PX` a side; a smaller one stays."""
    height, width = photo.shape[:2]
    scale = DETECTION_SIDE_PX / max(height, width)
    if scale >= 1:
        return photo
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return to_array(F.interpolate(to_tensor(photo), size, mode="bilinear", antialias=True))


def unexplained_change(photo: np.ndarray, restored: np.ndarray) -> float:
    """Return the RMS, over pixels and channels in [0, 1], of a change that no gain and offset of a channel explains."""
    return affine_residual(photo, restored) ** 0.5


def verdict(change: float, threshold: float) -> dict[str, Any]:
    """Return what :func:`unexplained_change` says of a photo, by the change above which a reflection is found.

    ``likelihood`` is a score in [0, 1], 0.5 at the threshold.
    """
    likelihood = change**2 / (change**2 + threshold**2)
    return {"likelihood": round(likelihood, 4), "found": change > threshold, "change": round(change, 5)}
