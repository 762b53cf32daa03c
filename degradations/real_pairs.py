"""Real pairs of a photo through glass and its target: matching exposures, and reusing their reflections.

Cameras and sets differ in exposure (docs/architecture.md), and a network that must guess it learns that guess alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from degradations.camera import to_8_bit
from degradations.sample_rng import SampleRNG
from models.images import to_linear, to_srgb

MIN_TRANSMITTANCE, MAX_TRANSMITTANCE = 0.8, 1.0  # of simulated panes
MIN_BRIGHT = 0.1  # linear light of the target, summed over channels; below, noise decides the ratio
STRENGTH = (0.5, 2.5)  # factor on a reflection that is laid over another photo, log-uniform
SCREEN = 0.3  # probability of a screen blend instead of clipping


def exposure_ratio(target: Tensor, photo: Tensor) -> Tensor:
    """Estimate the ratio of the photo's exposure to the target's, one value a picture, clipped to 0.4 .. 2.

    A pane only adds light, so the lowest ratios of photo to target in linear light show the exposure: this is their 0.2
    quantile. It does not depend on a network's output, or a darker output would have a lower loss. Both are
    (B x) 3 x H x W, sRGB in [0, 1].
    """
    return _light_ratio(to_linear(target), to_linear(photo))


def _light_ratio(target: Tensor, photo: Tensor) -> Tensor:
    t, p = (x.sum(-3).flatten(-2).cpu().numpy() for x in (target, photo))
    pairs = zip(t.reshape(-1, t.shape[-1]), p.reshape(-1, t.shape[-1]), strict=True)
    quantiles = [  # numpy's quantile does not sort all of it, as torch's does
        float(np.quantile(b[bright] / a[bright], 0.2)) if (bright := a > MIN_BRIGHT).any() else 1.0 for a, b in pairs
    ]
    return torch.tensor(quantiles, device=target.device, dtype=torch.float32).reshape(t.shape[:-1]).clamp(0.4, 2.0)


def match_exposure(target: Tensor, photo: Tensor) -> Tensor:
    """Scale the target to the exposure of the photo, as if the glass were removed: one gain a picture, linear light.

    Where the ratio of exposures is a possible transmittance of a pane, the target stays as filmed; else it is scaled to
    the nearest one. Both are (B x) 3 x H x W, sRGB in [0, 1].
    """
    ratio = exposure_ratio(target, photo)
    gain = ratio / ratio.clamp(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE)
    return to_srgb(to_linear(target) * gain[..., None, None, None])


def separate(photo: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return a real pair's target at the photo's exposure (see :func:`match_exposure`), and its reflection.

    The reflection is what the pane added, as linear light: ``max(0, photo - target at the photo's exposure)``. Where
    photo and target are not aligned to the pixel a trace of edges stays. All are 3 x H x W; photo and targets are sRGB
    in [0, 1].
    """
    light, behind = to_linear(photo), to_linear(target)
    ratio = _light_ratio(behind, light)
    layer = (light - (behind * ratio).clamp(max=1)).clamp(min=0)
    return to_srgb(behind * (ratio / ratio.clamp(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE))), layer


def under_layer(sharp: Tensor, layer: Tensor, rng: SampleRNG) -> tuple[Tensor, Tensor]:
    """Lay the reflection of a real pair over another photo, at random strength, so that no scene can be memorised.

    ``sharp`` (3 x H x W, sRGB) is seen through a pane of random transmittance; it is also the target. Returns the
    photo, in 8-bit steps, and the reflection as a picture of its light.
    """
    added = layer * rng.log_uniform(*STRENGTH)
    behind = to_linear(sharp) * rng.uniform(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE)
    if rng.chance(SCREEN):
        return to_8_bit(1 - (1 - to_srgb(behind)) * (1 - to_srgb(added))), to_srgb(added)
    return to_8_bit(to_srgb(behind + added)), to_srgb(added)
