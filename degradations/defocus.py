"""Partly defocused scenes, so that a network does not learn that every blurred region is a reflection."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.filters import disc_blur
from degradations.sample_rng import SampleRNG

RADIUS = (0.005, 0.03)  # of the blur disc, shares of the picture's width


def partly_defocused(picture: Tensor, rng: SampleRNG) -> Tensor:
    """Blur ``picture``, 3 x H x W in [0, 1], by a disc of random radius under a smooth random mask."""
    height, width = picture.shape[-2:]
    blurred = disc_blur(picture[None], torch.tensor([rng.log_uniform(*RADIUS) * width]))[0].clamp(0, 1)
    cells = 2 + rng.integer(3)
    field = (rng.normal(1, 1, cells, cells) + rng.uniform(-1, 1)) * 6  # steep: most places are sharp or are not
    mask = torch.sigmoid(F.interpolate(field, (height, width), mode="bicubic", align_corners=True))[0]
    return picture + mask * (blurred - picture)
