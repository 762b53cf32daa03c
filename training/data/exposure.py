"""The exposure of a real pair's target: how much brighter it was filmed than any pane can explain."""

from __future__ import annotations

import torch
from torch import Tensor

from models.colour import to_linear, to_srgb

LEAST, MOST = 0.8, 1.0  # shares of the scene's light that panes let through, as simulated


def exposure_ratio(target: Tensor, photo: Tensor) -> Tensor:
    """Light of the photo over that of the target where the pane added least, one value a picture, kept in 0.4 .. 2.

    A pane only adds light, so where the photo is least above the target tells the exposure: this is the 0.2 quantile
    of their ratio. It must not follow a network's output, or a darker output would cost less. Both are
    (B x) 3 x H x W, sRGB in [0, 1].
    """
    t, p = to_linear(target).sum(-3).flatten(-2), to_linear(photo).sum(-3).flatten(-2)
    ratio = torch.where(t > 0.1, p / t.clamp(min=1e-3), torch.nan)  # in the dark noise decides
    return torch.nanquantile(ratio, 0.2, dim=-1).nan_to_num(1.0).clamp(0.4, 2.0)


def through_pane(target: Tensor, photo: Tensor) -> Tensor:
    """The target as dark as it is behind the glass: the photo less what the pane added."""
    return _scaled(target, exposure_ratio(target, photo))


def match_exposure(target: Tensor, photo: Tensor) -> Tensor:
    """The target as if the glass were taken away and the camera left alone: one gain a picture, in linear light.

    Cameras and sets of real pairs expose as they like (DESIGN 8), and a network that must guess learns that guess
    alone. Where the ratio is what some pane lets through, the target stays as filmed; else it is brought there.
    """
    ratio = exposure_ratio(target, photo)
    return _scaled(target, ratio / ratio.clamp(LEAST, MOST))


def _scaled(picture: Tensor, gain: Tensor) -> Tensor:
    return to_srgb(to_linear(picture) * gain[..., None, None, None])
