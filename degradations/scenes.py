"""Transmissions that a network could take for reflections: partly defocused scenes, and pictures of flat pictures."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.filters import disc_blur
from degradations.sample_rng import SampleRNG
from models.images import to_linear, to_srgb

RADIUS = (0.005, 0.08)  # of the blur disc, shares of the picture's width
HIGHLIGHT = (1.0, 4.0)  # how much brighter than white a light source is: it becomes a bright disc (bokeh)
FRAMED = 0.6  # probability that a flat picture hangs in a frame, else it fills the view


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


def flat_picture(picture: Tensor, behind: Tensor, rng: SampleRNG) -> Tensor:
    """Show ``picture`` as a print that fills the view or hangs in a frame in front of ``behind`` (3 x H x W, sRGB)."""
    low, high = rng.uniform(0.0, 0.2), rng.uniform(0.7, 1.0)
    print_ = (low + (high - low) * picture) * _colour(rng, 0.93, 1.0)
    return _framed(print_, behind, rng) if rng.chance(FRAMED) else print_


def _colour(rng: SampleRNG, low: float, high: float) -> Tensor:
    return torch.tensor([rng.uniform(low, high) for _ in range(3)])[:, None, None]


def _framed(picture: Tensor, behind: Tensor, rng: SampleRNG) -> Tensor:
    height, width = picture.shape[-2:]
    if rng.chance(0.5):  # a plain wall, unevenly lit
        light = torch.linspace(rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.0), width)[None, None]
        behind = (_colour(rng, 0.2, 0.95) * light).expand(3, height, width)
    angle, scale = math.radians(rng.uniform(-6, 6)), rng.uniform(0.45, 0.9)
    shift = [rng.uniform(-1, 1) * (1 - scale) * 0.7 for _ in range(2)]
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    skew = rng.uniform(-0.08, 0.08)
    across = [cosine, sine + skew, -cosine * shift[0] - (sine + skew) * shift[1]]
    down = [-sine, cosine, sine * shift[0] - cosine * shift[1]]
    grid = F.affine_grid(torch.tensor([[across, down]]), [1, 3, height, width], align_corners=False)
    mount, frame = rng.uniform(0, 0.15), rng.uniform(0.01, 0.08)
    placed = F.grid_sample(picture[None], grid * (1 + mount + frame), padding_mode="border", align_corners=False)[0]
    distance = grid[0].abs().amax(-1) * (1 + mount + frame)  # 1 at the picture's edge
    paper, wood = torch.tensor([rng.uniform(0.75, 1.0)] * 3)[:, None, None], _colour(rng, 0.02, 0.9)
    placed = torch.where(distance > 1, paper, placed)
    placed = torch.where(distance > 1 + mount, wood, placed)
    return torch.where(distance > 1 + mount + frame, behind, placed).clamp(0, 1)
