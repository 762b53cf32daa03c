"""Estimate and match the exposure of real pairs, whose two photos may have been exposed differently."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.colour import to_linear, to_srgb

MIN_TRANSMITTANCE, MAX_TRANSMITTANCE = 0.8, 1.0  # shares of the scene's light that panes let through, as simulated


def exposure_ratio(target: Tensor, photo: Tensor) -> Tensor:
    """Estimate the ratio of the photo's exposure to the target's, one value a picture, clipped to 0.4 .. 2.

    A pane only adds light, so the lowest ratios of photo to target in linear light show the exposure: this is their 0.2
    quantile. It does not depend on a network's output, or a darker output would have a lower loss. Both are
    (B x) 3 x H x W, sRGB in [0, 1].
    """
    return light_ratio(to_linear(target), to_linear(photo))


def light_ratio(target: Tensor, photo: Tensor) -> Tensor:
    """:func:`exposure_ratio` of pictures that are linear light already."""
    t, p = (x.sum(-3).flatten(-2).cpu().numpy() for x in (target, photo))
    quantiles = [_least(a, b) for a, b in zip(t.reshape(-1, t.shape[-1]), p.reshape(-1, t.shape[-1]), strict=True)]
    return torch.tensor(quantiles, device=target.device, dtype=torch.float32).reshape(t.shape[:-1]).clamp(0.4, 2.0)


def _least(target: np.ndarray, photo: np.ndarray) -> float:
    bright = target > 0.1  # in the dark noise decides
    # numpy's quantile does not sort all of it, as torch's does.
    return float(np.quantile(photo[bright] / target[bright], 0.2)) if bright.any() else 1.0


def through_pane(target: Tensor, photo: Tensor) -> Tensor:
    """Scale the target to the light that comes through the glass: the photo without what the pane added."""
    return _scaled(target, exposure_ratio(target, photo))


def match_exposure(target: Tensor, photo: Tensor) -> Tensor:
    """The target as if the glass were taken away and the camera left alone: one gain a picture, in linear light.

    Cameras and sets of real pairs differ in exposure (docs/architecture.md), and a network that must guess it learns
    that guess alone. Where the ratio is what some pane lets through, the target stays as filmed; else it is brought
    there.
    """
    ratio = exposure_ratio(target, photo)
    return _scaled(target, ratio / ratio.clamp(MIN_TRANSMITTANCE, MAX_TRANSMITTANCE))


def _scaled(picture: Tensor, gain: Tensor) -> Tensor:
    return to_srgb(to_linear(picture) * gain[..., None, None, None])
