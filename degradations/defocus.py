"""Scenes out of focus in part, as photos are: else a network learns that what is blurred is the reflection."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.filters import disc_blur
from degradations.sample_rng import SampleRNG
from models.images import to_linear, to_srgb

RADIUS = (0.005, 0.08)  # of the blur disc, shares of the picture's width
HIGHLIGHT = (1.0, 4.0)  # how much brighter than white a light source is: it becomes a bright disc (bokeh)


def partly_defocused(picture: Tensor, rng: SampleRNG) -> Tensor:
    """Blur the light of ``picture``, 3 x H x W in [0, 1], by a disc of random radius under a smooth random mask."""
    height, width = picture.shape[-2:]
    radius, highlight = rng.log_uniform(*RADIUS) * width, rng.uniform(*HIGHLIGHT)
    light = to_linear(picture)
    light = light * (1 + (highlight - 1) * light.amax(0, keepdim=True) ** 4)
    blurred = to_srgb(disc_blur(light[None], torch.tensor([radius]))[0])
    cells = 2 + rng.integer(3)
    field = (rng.normal(1, 1, cells, cells) + rng.uniform(-1, 1)) * 6  # steep: most places are sharp or are not
    mask = torch.sigmoid(F.interpolate(field, (height, width), mode="bicubic", align_corners=True))[0]
    return picture + mask * (blurred - picture)
