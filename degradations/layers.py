"""Reflections taken from real pairs and laid over other photos.

They are of real panes, and a network cannot memorise the scene of a pair.
"""

from __future__ import annotations

from torch import Tensor

from degradations.camera import to_8_bit
from degradations.exposure import MAX_TRANSMITTANCE, MIN_TRANSMITTANCE, light_ratio
from degradations.sample_rng import SampleRNG
from models.images import to_linear, to_srgb

STRENGTH = (0.5, 2.5)  # times as strong as filmed, log-uniform
SCREEN = 0.3  # probability of a shoulder instead of clipping


def separate(photo: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return a real pair's target at the photo's exposure, and the pair's :func:`real_layer`.

    The target is sRGB (`degradations.exposure.match_exposure`). Both arguments are 3 x H x W, sRGB in [0, 1].
    """
    behind, ratio, layer = _taken_apart(photo, target)
    return to_srgb(behind * (ratio / ratio.clamp(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE))), layer


def real_layer(photo: Tensor, target: Tensor) -> Tensor:
    """What the pane added in a real pair, as linear light: ``max(0, photo - target at the photo's exposure)``.

    Both 3 x H x W, sRGB in [0, 1]. Where photo and target are not aligned to the pixel a trace of edges stays.
    """
    return _taken_apart(photo, target)[2]


def _taken_apart(photo: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the light of the target, the photo's exposure over the target's, and what the pane added."""
    light, behind = to_linear(photo), to_linear(target)
    ratio = light_ratio(behind, light)
    return behind, ratio, (light - (behind * ratio).clamp(max=1)).clamp(min=0)


def under_layer(sharp: Tensor, layer: Tensor, rng: SampleRNG) -> tuple[Tensor, Tensor]:
    """Lay a real reflection of a random strength over ``sharp``.

    ``sharp`` (3 x H x W, sRGB) is seen through a pane that lets part of its light through; it is also the target.
    Returns the photo, in 8-bit steps, and the reflection as a picture of its light.
    """
    added, behind = (
        layer * rng.log_uniform(*STRENGTH),
        to_linear(sharp) * rng.uniform(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE),
    )
    if rng.chance(SCREEN):
        return to_8_bit(1 - (1 - to_srgb(behind)) * (1 - to_srgb(added))), to_srgb(added)
    return to_8_bit(to_srgb(behind + added)), to_srgb(added)
