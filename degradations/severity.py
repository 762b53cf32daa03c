"""Severe degradations, from the strong ends of both simulators, to test guidance on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor

from degradations.blur import draw_blur, simulate_blur
from degradations.blur_families import BlurConfig
from degradations.reflection import GlassConfig, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG

SEVERE_GLASS = replace(GlassConfig(), clean=0.0, strength=(0.3, 0.8), hard=0.3, floor=(0.0, 0.2), local=0.2)
SEVERE_BLUR = replace(
    BlurConfig(), clean=0.0, motion=(0.06, 0.12), sweep=(0.08, 0.12), defocus=(0.025, 0.04), gaussian=(0.012, 0.02)
)


def degrade(photo: Tensor, kind: Literal["glass", "blur"], world: Tensor, rng: SampleRNG) -> Tensor:
    """Blur a photo, 3 x H x W in [0, 1], severely, or put it behind glass that reflects ``world``."""
    height, width = photo.shape[-2:]
    if kind == "blur":
        return simulate_blur(photo[None], [draw_blur(rng, SEVERE_BLUR, height, width)])["input"][0]
    view = draw_view(rng, draw_scene(rng, SEVERE_GLASS), height, width, SEVERE_GLASS)
    return simulate(photo[None], world[None], [view])["input"][0]
