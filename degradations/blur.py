"""A simulator of blurred photos, batched torch on any device: the patterns of blur pattern pretraining.

In linear light, for a sharp photo S whose highlights are brighter than white::

    photo = camera( B_n( ... B_1( S ) ) )          target = camera without noise, 8 bits and JPEG ( S )

Each B is a uniform kernel, an integral over the views of a moving camera, or layers of these one over the other. The
families of `degradations.blur_config` say how they are drawn (`degradations.blur_families`); they have names, so
that some can be held out. With the photo comes what an estimator learns: the **motion field** and the radius of
defocus, from the same positions and kernels that make the blur (`degradations.motion_field`).

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

from degradations.blur_config import FAMILIES, BlurConfig
from degradations.blur_families import DRAWN, Frame
from degradations.blur_layers import Layers, blur_layers
from degradations.camera import develop, to_light, to_picture
from degradations.motion_field import motion_and_defocus
from degradations.sample_rng import SampleRNG

__all__ = ["FAMILIES", "Blur", "BlurConfig", "blur_light", "draw_blur", "simulate_blur"]

MAX_LIGHTS_SHARE = 0.03  # share of the picture up to which highlights keep their full brightness


@dataclass(frozen=True)
class Blur:
    """All that happens to one sample, drawn for one size of picture."""

    family: str  # of a clean sample: "clean"
    passes: tuple[Layers, ...]  # one after the other; none: there is no blur
    highlight: float  # how much brighter than white highlights are; 1: no brighter
    threshold: float
    gamma: float
    noise: Tensor  # 3 x H x W, standard normal
    level: float
    quality: float  # 0: no JPEG


def draw_blur(rng: SampleRNG, config: BlurConfig, height: int, width: int) -> Blur:
    """The blur of one sample of ``height`` x ``width`` pixels, all from its own stream.

    The family's own settings come last: what is drawn before them is the same whatever the families' weights are.
    Pictures of a shorter side below 16 px are an error.
    """
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
        passes=() if clean else DRAWN[family](rng, Frame(height, width, config)),
        highlight=highlight if lights and not clean else 1.0,
        threshold=config.threshold,
        gamma=gamma,
        noise=noise,
        level=level,
        quality=quality * float(compressed),
    )


def blur_light(light: Tensor, blurs: list[Blur]) -> tuple[Tensor, Tensor]:
    """Blur linear light, B x 3 x H x W, without the camera.

    Also returns the covariance of what meets in each pixel (B x 3 x H x W: of x, of x and y, of y, px^2). The
    covariances of passes that follow each other add up.
    """
    total = torch.zeros_like(light)
    for step in range(max((len(b.passes) for b in blurs), default=0)):
        light, covariance = blur_layers(light, [b.passes[step] if step < len(b.passes) else () for b in blurs])
        total += covariance
    return light, total


def simulate_blur(sharp: Tensor, blurs: list[Blur]) -> dict[str, Tensor]:
    """Blurred photos from sharp ones.

    ``sharp``: B x 3 x H x W, sRGB in [0, 1], on any device, of the size the B ``blurs`` were drawn for. Returns
    ``input`` (8 bits) and ``target`` (the sharp photo under the same exposure), both of that shape, ``light`` (the
    photo before noise, rounding and JPEG, as a picture), ``motion`` (B x 2 x H x W) and ``defocus`` (B x 1 x H x W),
    in pixels: see :func:`degradations.motion_field.motion_and_defocus`. A clean sample's target is its input.
    """
    device = sharp.device

    def rows(values: list[float]) -> Tensor:
        return torch.tensor(values, device=device, dtype=torch.float32)

    def column(values: list[float]) -> Tensor:
        return rows(values)[:, None, None, None]

    gamma = rows([b.gamma for b in blurs])
    scene = _scene(sharp, gamma, column([b.highlight for b in blurs]), column([b.threshold for b in blurs]))
    light, covariance = blur_light(scene, blurs)
    motion, defocus = motion_and_defocus(covariance)

    clean = column([float(b.family == "clean") for b in blurs]) > 0
    target = torch.where(clean, sharp, to_picture(scene, gamma))
    blurred = torch.where(clean, sharp, to_picture(light, gamma))
    noise = torch.stack([b.noise for b in blurs]).to(device)
    photo = develop(blurred, noise, rows([b.level for b in blurs]), [b.quality for b in blurs])
    # Noise and JPEG are no blur: a sharp photo is to stay as it is.
    target = torch.where(clean, photo, target)
    return {"input": photo, "target": target, "light": blurred, "motion": motion, "defocus": defocus}


def _scene(sharp: Tensor, gamma: Tensor, highlight: Tensor, threshold: Tensor) -> Tensor:
    """Estimate the light of the scene, in which highlights are brighter than the photo could show.

    What is above ``threshold`` was brighter, up to ``highlight`` times at white, and less so where that is much of the
    picture, since the camera exposes for it. The mean of the channels is compared with ``threshold``: a strong colour
    has one channel at its maximum without being a light source.
    """
    light = to_light(sharp, gamma)
    over = ((sharp.mean(1, keepdim=True) - threshold) / (1 - threshold)).clamp(0, 1) ** 4
    share = (MAX_LIGHTS_SHARE / over.mean((1, 2, 3), keepdim=True).clamp(min=1e-6)).clamp(max=1)
    return light * (1 + (highlight - 1) * share * over)
