"""Freely usable photos from scikit-image."""

import torch
from torch import Tensor

from training.data.photos import WHOLE

SCENES = ("coffee", "chelsea", "rocket", "astronaut")
SIDE_PX = 384


def square_photo(name: str) -> Tensor:
    """Crop the middle square of one of `SCENES`, 3 x SIDE_PX x SIDE_PX in [0, 1]."""
    from skimage import data  # a packed run (`training.pack`) has it not

    pixels = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)
    side = min(pixels.shape[1:])
    top, left = (pixels.shape[1] - side) // 2, (pixels.shape[2] - side) // 2
    return WHOLE.take(pixels[:, top : top + side, left : left + side], SIDE_PX)
