"""The synthesis that most reflection-removal networks are trained with, batched torch on any device.

Two pictures are added without a model of camera and pane (Fan et al., ICCV 2017; Hu and Guo, ICCV 2023): the
transmission with a random gain of each channel, the reflection blurred by a Gaussian and scaled::

    photo = T + R - T * R                            (screen)
    photo = clip(T + clip(R - overflow))             (clipped sum; R is first reduced by the mean overflow)

The target is the transmission with its gains. `degradations.reflection` is the physical simulator; a network trained on
both did best on held-out real pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor

from degradations.camera import develop
from degradations.filters import column, gaussian_blur
from degradations.sample_rng import Chance, Range, SampleRNG

TONE_MEANS, TONE_DEVIATION = (1.109, 1.106, 1.078), 0.117  # of the gain of each channel of T
MIN_TONE, MAX_TONE = 0.82, 1.42
OVERFLOW = 1.3  # factor on the mean value above white, by which the reflection is reduced


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class BlendConfig:
    """The distribution."""

    clean: Chance = 0.1  # probability that nothing is added
    strength: Range = (0.3, 1.0)  # factor on the reflection
    blur: Range = (0.006, 0.02)  # standard deviation of the Gaussian, shares of the picture's width
    sharp: Chance = 0.1  # probability of no blur
    screen: Chance = 0.7  # probability of the screen blend, else the clipped sum
    tone: Chance = 0.5  # probability of random gains of T
    local: Chance = 0.4  # probability that the reflection is local
    noise: Annotated[float, Field(ge=0)] = 0.008  # largest standard deviation of the noise
    jpeg: Chance = 0.2  # probability of JPEG
    quality: Range = (60.0, 98.0)


@dataclass(frozen=True)
class Blend:
    """The parameters of one sample."""

    clean: bool
    strength: float
    blur: float
    screen: bool
    tone: tuple[float, float, float]
    lit: np.ndarray | None  # 1 x g x g, logits of where the reflection is; None: everywhere
    level: float
    quality: float
    noise: Tensor  # 3 x H x W


def draw_blend(rng: SampleRNG, height: int, width: int, config: BlendConfig) -> Blend:
    """Draw the parameters of one sample."""
    toned, local = rng.chance(config.tone), rng.chance(config.local)
    tone = [1.0, 1.0, 1.0]
    if toned:
        factors = [mean + TONE_DEVIATION * float(rng.normal(1)) for mean in TONE_MEANS]
        tone = [min(max(factor, MIN_TONE), MAX_TONE) for factor in factors]
    cells = 2 + rng.integer(4)
    return Blend(
        clean=rng.chance(config.clean),
        strength=rng.uniform(*config.strength),
        blur=0.0 if rng.chance(config.sharp) else rng.uniform(*config.blur),
        screen=rng.chance(config.screen),
        tone=(tone[0], tone[1], tone[2]),
        lit=(rng.normal(1, cells, cells) * 2 + rng.uniform(-1, 1)).numpy() if local else None,
        level=rng.uniform(0, config.noise),
        quality=rng.uniform(*config.quality) if rng.chance(config.jpeg) else 0.0,
        noise=rng.normal(3, height, width),
    )


def blend(transmission: Tensor, reflection: Tensor, drawn: Sequence[Blend]) -> dict[str, Tensor]:
    """Blend two batches, ``transmission`` and ``reflection``, with the parameters of each sample.

    Both are B x 3 x H x W in [0, 1]. Returns ``input``, ``target`` and ``reflection`` (what was added), each of that
    shape and range. A clean sample's target is its input.
    """
    device, (height, width) = transmission.device, transmission.shape[-2:]
    target = (transmission * column([d.tone for d in drawn], device)).clamp(0, 1)
    deviation = torch.tensor([d.blur * width for d in drawn], dtype=torch.float32)  # its largest is asked for
    added = gaussian_blur(reflection, deviation) * column([d.strength for d in drawn], device)
    for place, d in enumerate(drawn):
        if d.lit is not None:
            shown = torch.from_numpy(d.lit)[None].to(device)
            field = F.interpolate(shown, (height, width), mode="bicubic", align_corners=True)
            added[place] *= torch.sigmoid(field[0])
    clean = column([d.clean for d in drawn], device)
    added = added * (1 - clean)
    above = (target + added - 1).clamp(min=0)
    overflow = above.sum((1, 2, 3), keepdim=True) / (above > 0).sum((1, 2, 3), keepdim=True).clamp(min=1)
    screen = column([d.screen for d in drawn], device) > 0
    added = torch.where(screen, added, (added - OVERFLOW * overflow).clamp(min=0))
    mixed = torch.where(screen, target + added - target * added, target + added).clamp(0, 1)
    noise = torch.stack([d.noise for d in drawn]).to(device)
    level = torch.tensor([d.level for d in drawn], device=device, dtype=torch.float32)
    photo = develop(mixed, noise, level, [d.quality for d in drawn])
    return {"input": photo, "target": torch.where(clean > 0, photo, target), "reflection": added}
