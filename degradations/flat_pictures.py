"""Flat pictures as transmissions (prints, paintings, screens), so that a network does not take them for reflections."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.sample_rng import SampleRNG

HUNG = 0.6  # probability that the picture hangs on a wall, else it fills the view


def flat_picture(picture: Tensor, behind: Tensor, rng: SampleRNG) -> Tensor:
    """Show ``picture`` as a print of reduced contrast that fills the view or hangs in a frame in front of ``behind``.

    All are 3 x H x W, sRGB in [0, 1].
    """
    low, high = rng.uniform(0.0, 0.2), rng.uniform(0.7, 1.0)
    colour = torch.tensor([rng.uniform(0.93, 1.0) for _ in range(3)])[:, None, None]
    print_ = (low + (high - low) * picture) * colour
    return _hung(print_, behind, rng) if rng.chance(HUNG) else print_


def _hung(picture: Tensor, behind: Tensor, rng: SampleRNG) -> Tensor:
    height, width = picture.shape[-2:]
    if rng.chance(0.5):  # a plain wall, unevenly lit
        light = torch.linspace(rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.0), width)[None, None]
        tone = torch.tensor([rng.uniform(0.2, 0.95) for _ in range(3)])[:, None, None]
        behind = (tone * light).expand(3, height, width)
    angle, scale = math.radians(rng.uniform(-6, 6)), rng.uniform(0.45, 0.9)
    shift = [rng.uniform(-1, 1) * (1 - scale) * 0.7 for _ in range(2)]
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    skew = rng.uniform(-0.08, 0.08)
    across = [cosine, sine + skew, -cosine * shift[0] - (sine + skew) * shift[1]]
    down = [-sine, cosine, sine * shift[0] - cosine * shift[1]]
    grid = F.affine_grid(torch.tensor([[across, down]]), [1, 3, height, width], align_corners=False)
    mount, frame = rng.uniform(0, 0.15), rng.uniform(0.01, 0.08)
    placed = F.grid_sample(picture[None], grid * (1 + mount + frame), padding_mode="border", align_corners=False)[0]
    far = grid[0].abs().amax(-1) * (1 + mount + frame)  # 1 at the picture's edge
    paper = torch.tensor([rng.uniform(0.75, 1.0)] * 3)[:, None, None]
    wood = torch.tensor([rng.uniform(0.02, 0.9) for _ in range(3)])[:, None, None]
    placed = torch.where(far > 1, paper, placed)
    placed = torch.where(far > 1 + mount, wood, placed)
    return torch.where(far > 1 + mount + frame, behind, placed).clamp(0, 1)
