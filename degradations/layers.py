"""Reflections taken from real pairs, laid over other photos: real panes, and no scene to know by heart."""

from __future__ import annotations

from torch import Tensor

from degradations.camera import to_8_bit
from degradations.exposure import MAX_TRANSMITTANCE, MIN_TRANSMITTANCE, light_ratio
from degradations.sample_rng import SampleRNG
from models.colour import to_linear, to_srgb

STRENGTH = (0.5, 2.5)  # times as strong as filmed, log-uniform
SCREEN = 0.3  # probability of a shoulder instead of clipping


def separate(photo: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A real pair's target at the photo's exposure (`degradations.exposure.match_exposure`, sRGB), and its
    :func:`real_layer`. Both 3 x H x W, sRGB in [0, 1]."""
    light, behind = to_linear(photo), to_linear(target)
    ratio = light_ratio(behind, light)
    layer = (light - (behind * ratio).clamp(max=1)).clamp(min=0)
    return to_srgb(behind * (ratio / ratio.clamp(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE))), layer


def real_layer(photo: Tensor, target: Tensor) -> Tensor:
    """What the pane added in a real pair, as linear light: ``max(0, photo - target at the photo's exposure)``.

    Both 3 x H x W, sRGB in [0, 1]. Where photo and target are not aligned to the pixel a trace of edges stays.
    """
    light, behind = to_linear(photo), to_linear(target)
    return (light - (behind * light_ratio(behind, light)).clamp(max=1)).clamp(min=0)


def under_layer(sharp: Tensor, layer: Tensor, rng: SampleRNG) -> tuple[Tensor, Tensor]:
    """``sharp`` (3 x H x W, sRGB) under a real reflection of a drawn strength, behind a pane that lets
    part of it through, on 8 bits; and that reflection as a picture of its light. The target is ``sharp``."""
    added, behind = (
        layer * rng.log_uniform(*STRENGTH),
        to_linear(sharp) * rng.uniform(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE),
    )
    if rng.chance(SCREEN):
        return to_8_bit(1 - (1 - to_srgb(behind)) * (1 - to_srgb(added))), to_srgb(added)
    return to_8_bit(to_srgb(behind + added)), to_srgb(added)
