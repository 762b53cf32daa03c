"""A simulator of blurred photos, batched torch on any device: the patterns of blur pattern pretraining.

In linear light, for a sharp photo S whose highlights are brighter than white::

    photo = camera( B_n( ... B_1( S ) ) )          target = camera without noise, 8 bits and JPEG ( S )

Each B is a uniform kernel, a mean over the views of a moving camera, or depth layers of these. The families of
`degradations.blur_families` have names, so that some can be held out. The simulator also returns the labels of a motion
estimator, the **motion field** and the radius of defocus, computed from the kernels and paths that make the blur
(:func:`motion_and_defocus`).

Sources: blur pattern pretraining on simulated blur, GLOWDeblur (arXiv 2601.06525); six degrees of freedom, Whyte et
al. (CVPR 2010) and Tai et al. (TPAMI 2011); trajectories, Boracchi and Foi (TIP 2012); light that is brighter than
white before it is blurred, Hu et al., "Deblurring low-light images with light streaks" (CVPR 2014), and Rim et al.,
"Realistic blur synthesis" (ECCV 2022), who also put noise and the camera's response after the blur; occluding
layers, as in Lee et al., "Real-time depth-of-field rendering" (TOG 2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from degradations.blur_families import DRAWN, FAMILIES, BlurConfig, Frame
from degradations.blur_layers import Layers, blur_layers
from degradations.camera import develop, to_light, to_picture
from degradations.filters import column
from degradations.sample_rng import SampleRNG

__all__ = ["FAMILIES", "Blur", "BlurConfig", "blur_light", "draw_blur", "motion_and_defocus", "simulate_blur"]

MAX_LIGHTS_SHARE = 0.03  # share of the picture up to which highlights keep their full brightness


@dataclass(frozen=True)
class Blur:
    """The parameters of one sample, drawn for one size of picture."""

    family: str  # of a clean sample: "clean"
    passes: tuple[Layers, ...]  # applied in order; none: there is no blur
    highlight: float  # how much brighter than white highlights are; 1: no brighter
    threshold: float  # value above which a pixel is a highlight
    gamma: float
    noise: Tensor  # 3 x H x W, standard normal
    level: float  # standard deviation of the noise
    quality: float  # of JPEG; 0: none


def draw_blur(rng: SampleRNG, config: BlurConfig, height: int, width: int) -> Blur:
    """Draw the blur of a sample of ``height`` x ``width`` px, 16 or more (ValueError), its family's settings last."""
    if min(height, width) < 16:
        raise ValueError(f"A picture of {width} x {height} px is too small to blur: its sides must be at least 16 px.")
    clean, lights, compressed = rng.chance(config.clean), rng.chance(config.lights), rng.chance(config.jpeg)
    highlight, gamma = rng.log_uniform(*config.highlight), rng.uniform(*config.gamma)
    level, quality = rng.uniform(0, config.noise), rng.uniform(*config.quality)
    noise = rng.normal(3, height, width)
    names, weights = list(config.weights), np.array(list(config.weights.values()))
    place = int(np.searchsorted(np.cumsum(weights), rng.uniform(0, float(weights.sum())), side="right"))
    family = names[min(place, int(np.flatnonzero(weights)[-1]))]
    return Blur(
        family="clean" if clean else family,
        passes=() if clean else DRAWN[family][0](rng, Frame(height, width, config)),
        highlight=highlight if lights and not clean else 1.0,
        threshold=config.threshold,
        gamma=gamma,
        noise=noise,
        level=level,
        quality=quality * float(compressed),
    )


def blur_light(light: Tensor, blurs: list[Blur]) -> tuple[Tensor, Tensor]:
    """Blur linear light, B x 3 x H x W, without the camera.

    Also returns the covariance (xx, xy, yy) of the blur at each pixel, B x 3 x H x W in px². The covariances of
    successive passes add up.
    """
    total = torch.zeros_like(light)
    for step in range(max((len(b.passes) for b in blurs), default=0)):
        light, covariance = blur_layers(light, [b.passes[step] if step < len(b.passes) else () for b in blurs])
        total += covariance
    return light, total


def simulate_blur(sharp: Tensor, blurs: list[Blur]) -> dict[str, Tensor]:
    """Simulate blurred photos from sharp ones.

    Args:
        sharp: B x 3 x H x W, sRGB in [0, 1], on any device.
        blurs: The B blurs, drawn for this size.

    Returns:
        ``input`` (8 bits), ``target`` (the sharp photo under the same exposure; of a clean sample, its input) and
        ``light`` (the photo before noise, rounding and JPEG, as a picture), each B x 3 x H x W; ``motion``, B x 2 x H x
        W, and ``defocus``, B x 1 x H x W, in pixels: see :func:`motion_and_defocus`.
    """
    device = sharp.device
    gamma = torch.tensor([b.gamma for b in blurs], device=device)
    scene = _scene(sharp, gamma, blurs)
    light, covariance = blur_light(scene, blurs)
    motion, defocus = motion_and_defocus(covariance)

    clean = column([b.family == "clean" for b in blurs], device) > 0
    target = torch.where(clean, sharp, to_picture(scene, gamma))
    blurred = torch.where(clean, sharp, to_picture(light, gamma))
    noise = torch.stack([b.noise for b in blurs]).to(device)
    level = torch.tensor([b.level for b in blurs], device=device)
    photo = develop(blurred, noise, level, [b.quality for b in blurs])
    # Noise and JPEG are no blur: the target of a sharp photo is the photo itself.
    target = torch.where(clean, photo, target)
    return {"input": photo, "target": target, "light": blurred, "motion": motion, "defocus": defocus}


def _scene(sharp: Tensor, gamma: Tensor, blurs: list[Blur]) -> Tensor:
    """Estimate the light of the scene, in which highlights are brighter than the photo could show.

    Pixels above ``threshold`` are made brighter, up to ``highlight`` times at white, and less so where they are much of
    the picture, since the camera exposes for them. The mean of the channels is compared with ``threshold``: a strong
    colour has one channel at its maximum without being a light source.
    """
    highlight = column([b.highlight for b in blurs], sharp.device)
    threshold = column([b.threshold for b in blurs], sharp.device)
    light = to_light(sharp, gamma)
    over = ((sharp.mean(1, keepdim=True) - threshold) / (1 - threshold)).clamp(0, 1) ** 4
    share = (MAX_LIGHTS_SHARE / over.mean((1, 2, 3), keepdim=True).clamp(min=1e-6)).clamp(max=1)
    return light * (1 + (highlight - 1) * share * over)


def motion_and_defocus(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Convert the covariance of a blur to a motion vector and a defocus radius.

    Motion lies along the axis of the largest variance; its length is that of a uniform straight motion,
    ``sqrt(12 v)``, v being the difference of the two axes' variances. It has no sign: dx > 0, or dx = 0 and dy >= 0.
    Defocus is the radius of the disc with the smaller variance along an axis, ``2 sqrt(v)``. So a straight motion of
    length L gives (L, 0 px), a disc of radius r (0, r), and their composition (L, r).

    Args:
        covariance: B x 3 x H x W (xx, xy, yy) in px².

    Returns:
        Motion, B x 2 x H x W (dx, dy; y down), and defocus, B x 1 x H x W, both in pixels.
    """
    xx, xy, yy = covariance.unbind(1)
    mean, half = (xx + yy) / 2, (xx - yy) / 2
    apart = torch.sqrt(half**2 + xy**2)  # half the difference of the two axes' variances
    length = torch.sqrt(24 * apart)
    cosine = half / apart.clamp(min=1e-12)  # of twice the angle
    dx = length * torch.sqrt(((1 + cosine) / 2).clamp(min=0))
    dy = length * torch.sqrt(((1 - cosine) / 2).clamp(min=0)) * torch.where(xy < 0, -1.0, 1.0)
    dy = torch.where(dx > 0, dy, dy.abs())
    radius = 2 * torch.sqrt((mean - apart).clamp(min=0))
    return torch.stack([dx, dy], 1), radius[:, None]
