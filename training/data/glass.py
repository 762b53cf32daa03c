"""A simulator of photos taken through glass, batched torch on any device.

In linear light a pane adds to the transmission ``a T`` a reflected scene ``R``, defocused by its own depth and
doubled by the second face of the glass (ghost), where the pane reflects (a smooth field over the picture), and
sometimes a uniform veil::

    I = clip(a T + m * b * (g * R) + v)        target = T: the picture as if the glass were not there

The glass takes a share ``1 - a`` of the light (8 % for a pane, twice that for double glazing), about what it
adds by reflecting, so that removing a reflection need not darken the picture. Real pairs are filmed with the
pane taken away: theirs is the same target, but for each set's exposure, which the loss normalises.
Light sources in R are brighter than white before they are scaled (their highlights are recovered first), and
what is darker than a floor adds nothing that is seen: reflections show where their scene is bright, and the
exposure swallows the rest (Fan et al., ICCV 2017, subtract for the same reason). The
camera's shoulder, which compresses what is bright, is stood in for by a screen blend in sRGB for a share of the
samples: ``I = 1 - (1 - T)(1 - R)``. Sources: Zhang et al., CVPR 2018 (clipped addition with bright R); Shih et
al., CVPR 2015 (ghosts); Wan et al., ICCV 2017 (what real panes do); Hu et al., arXiv 2503.17347.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.colour import to_linear, to_srgb
from training.data.draws import Draws
from training.data.filters import gaussian_blur, shift


@dataclass(frozen=True)
class GlassConfig:
    """The distribution. Lengths are fractions of the picture's side, strengths are shares of T's mean light."""

    clean: float = 0.2  # probability that there is no reflection at all
    strength: tuple[float, float] = (
        0.04,
        0.6,
    )  # mean reflected light over mean transmitted light, log-uniform
    hard: float = 0.12  # probability of the tail: sharp, strong, saturated, local
    hard_strength: tuple[float, float] = (0.3, 1.5)
    blur: float = 0.02  # largest sigma of the reflected scene's defocus
    ghost: float = 0.3  # probability of a visible double image
    ghost_shift: float = 0.02
    floor: tuple[float, float] = (0.0, 1.0)  # light of the reflected scene that is not seen, shares of its mean
    highlights: tuple[float, float] = (1.0, 4.0)  # how much brighter than white a light source becomes
    local: float = 0.5  # probability that only a part of the picture reflects
    veil: float = 0.3
    veil_strength: float = 0.04
    transmittance: tuple[float, float] = (0.8, 1.0)
    screen: float = 0.6  # probability of the screen blend
    noise: float = 0.01  # largest standard deviation, sRGB


@dataclass
class GlassSample:
    """What is drawn for one sample; all floats but the two fields (1 x g x g and 3 x H x W)."""

    strength: float
    sigma: float
    ghost: tuple[float, float, float]
    highlight: float
    floor: float
    transmittance: float
    veil: tuple[float, float, float]
    screen: bool
    tint: tuple[float, float, float]
    field: Tensor
    noise: Tensor


def draw_sample(draws: Draws, size: int, config: GlassConfig) -> GlassSample:
    """The parameters of one sample at ``size`` pixels, all from its own stream."""
    clean, hard = draws.chance(config.clean), draws.chance(config.hard)
    strength = draws.log_uniform(*(config.hard_strength if hard else config.strength))
    sigma = 0.0 if hard else config.blur * size * draws.uniform() ** 1.5
    ghost = (0.0, 0.0, 0.0)
    if draws.chance(config.ghost):
        reach = config.ghost_shift * size
        ghost = (draws.uniform(-reach, reach), draws.uniform(-reach, reach), draws.uniform(0.3, 1.0))
    veil = (0.0, 0.0, 0.0)
    if draws.chance(config.veil) and not clean:
        level = draws.uniform(0, config.veil_strength)
        veil = (
            level * draws.uniform(0.7, 1.3),
            level * draws.uniform(0.7, 1.3),
            level * draws.uniform(0.7, 1.3),
        )
    local = hard or draws.chance(config.local)
    cells = 2 + draws.integer(4)
    field = draws.normal(1, cells, cells) * 2 + draws.uniform(-1, 1) if local else torch.full((1, 2, 2), 8.0)
    highlight = draws.uniform(*config.highlights) * (1.5 if hard else 1.0)
    noise = config.noise * draws.uniform() if draws.chance(0.5) else 0.0
    return GlassSample(
        strength=0.0 if clean else strength,
        sigma=sigma,
        ghost=ghost,
        highlight=highlight,
        floor=draws.uniform(*config.floor),
        transmittance=1.0 if clean else draws.uniform(*config.transmittance),
        veil=veil,
        screen=draws.chance(config.screen),
        tint=(draws.uniform(0.85, 1.15), draws.uniform(0.85, 1.15), draws.uniform(0.85, 1.15)),
        field=field,
        noise=draws.normal(3, size, size) * noise,
    )


def simulate(transmission: Tensor, reflection: Tensor, samples: list[GlassSample]) -> dict[str, Tensor]:
    """Photos through glass from sharp ones.

    ``transmission`` and ``reflection``: B x 3 x H x W, sRGB in [0, 1], on any device. Returns ``input``
    (rounded to 8 bits), ``target`` (as if there were no glass), ``through`` (the light that came through it) and
    ``reflection`` (what the pane added, sRGB of its light), all of that shape.
    A clean sample's target equals its input but for the noise.
    """
    device = transmission.device

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, device=device, dtype=torch.float32)[:, None, None, None]

    t = to_linear(transmission) * column([s.transmittance for s in samples])  # what comes through
    r = to_linear(reflection)
    r = r * (1 + (column([s.highlight for s in samples]) - 1) * r.amax(1, keepdim=True) ** 4)
    r = r * torch.tensor([s.tint for s in samples], device=device)[:, :, None, None]
    if max(s.sigma for s in samples) > 0.1:
        r = gaussian_blur(r, torch.tensor([s.sigma for s in samples], device=device))
    ghost = torch.tensor([s.ghost for s in samples], device=device)
    second = ghost[:, 2][:, None, None, None]
    r = (r + second * shift(r, ghost[:, 0], ghost[:, 1])) / (1 + second)
    mean = r.mean((1, 2, 3), keepdim=True)
    r = (r - column([s.floor for s in samples]) * mean).clamp(min=0)
    size = list(transmission.shape[-2:])
    field = torch.cat(
        [F.interpolate(s.field[None].to(device), size, mode="bicubic", align_corners=True) for s in samples]
    )
    share = t.mean((1, 2, 3), keepdim=True) / mean.clamp(min=1e-3)
    strength = column([s.strength for s in samples])
    added = torch.sigmoid(field) * strength * share.clamp(max=4.0) * r
    added = added + torch.tensor([s.veil for s in samples], device=device)[:, :, None, None]
    through, layer = to_srgb(t), to_srgb(added)
    clipped = to_srgb(t + added)
    screened = 1 - (1 - through) * (1 - layer)
    mixed = torch.where(column([float(s.screen) for s in samples]) > 0, screened, clipped)
    noise = torch.stack([s.noise for s in samples]).to(device)
    photo = ((mixed + noise).clamp(0, 1) * 255).round() / 255
    return {"input": photo, "target": transmission, "through": through, "reflection": layer}
