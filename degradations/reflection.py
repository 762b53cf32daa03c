"""A physical simulator of photos taken through glass, batched torch on any device.

In linear light, for a pane (`degradations.glass_optics`) in pose k in front of a scene T with a world R behind the
camera::

    I_k = camera( e_k * [ a_k(v) T(v)  +  g * ( r1_k(v) L R(w_k(v)) + r2_k(v) L R(w'_k(v)) )  +  glare ] )
    target_k = e_k * T(v)

``v`` is a pixel's ray; ``a, r1, r2`` what the pane lets through and reflects to its two images, by Fresnel over
the field of view; ``w, w'`` where each image looks in the world (mirrored, turned by twice the pane's rotation, the
second displaced by thickness and angle); ``L`` how much brighter that world is; ``g`` its defocus, a disc; ``e``
what automatic exposure does about the added light. Light sources in R are brighter than white before they are
scaled (their highlights are recovered first). What is darker than a floor adds nothing that is seen: reflections
show where their world is bright (Fan et al., ICCV 2017, subtract for the same reason), and ``lit`` leaves only
parts of it bright. The glass may end within the picture. The camera: its curve, noise, clipping or a shoulder
(a screen blend, ``1 - (1 - T)(1 - R)``), 8 bits, JPEG.

**Rotating the medium** is its main verb (DAI, arXiv 2503.17347): views of one scene share everything but the pose,
so the same transmission comes with different reflections. The target is the scene *as if the glass were not there*,
at the photo's exposure: real pairs are filmed with the pane taken away, and the pane takes about what it adds, so
that removing a reflection need not darken. Sources: Zhang et al., CVPR 2018 (bright R, clipped addition); Wan et al.,
ICCV 2017 (what panes do); Kim et al., CVPR 2020 (physical rendering); and those in `degradations.glass_optics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor

from degradations.camera import develop, to_light, to_picture
from degradations.filters import disc_blur
from degradations.glass_optics import (
    Panes,
    glass_mask,
    normal_of,
    passed_and_reflected,
    reflected_grids,
    sample_mirrored,
)
from degradations.sample_rng import Chance, LogRange, Range
from degradations.sample_rng import SampleRNG

STEEPEST = 80.0  # degrees of incidence; beyond, a pane is a mirror and shows nothing behind it
CPU_VIEWS_AT_ONCE = 2  # more outgrow a CPU's caches, and their memory is allocated anew each time
Rows = Callable[[Sequence[float] | Sequence[tuple[float, float, float]]], Tensor]


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class GlassConfig:
    """The distribution. Lengths without a unit are fractions of the picture's width; angles are degrees."""

    clean: Chance = 0.2  # probability that there is no glass at all
    strength: LogRange = (0.02, 0.35)  # mean reflected light, at the mean pose, over the scene's own, log-uniform
    hard: Chance = 0.1  # probability of the tail: sharp, strong, saturated, local
    hard_strength: LogRange = (0.15, 0.8)
    floor: Range = (0.0, 0.6)  # light of the reflected world that is not seen, shares of its mean
    highlights: Range = (1.0, 4.0)  # how much brighter than white a light source becomes
    local: Chance = 0.4  # probability that only parts of the reflected world are lit
    defocus: Annotated[float, Field(ge=0, le=0.1)] = 0.05  # largest radius of the reflected world's defocus
    yaw: float = 55.0  # largest turn of the pane about the vertical, as far as the whole view still meets it
    pitch: float = 20.0
    rotation: float = 10.0  # largest turn of a view from the scene's mean pose, each way
    field_of_view: Range = (40.0, 75.0)
    index: Range = (1.45, 1.62)  # acrylic to flint; window glass is 1.52
    thickness: Range = (0.002, 0.012)  # m
    double: Chance = 0.2  # probability of double glazing
    gap: Range = (0.006, 0.02)  # m, between its panes
    distance: LogRange = (0.4, 8.0)  # m from the camera over the pane to what it reflects, log-uniform
    coating: LogRange = (0.3, 3.0)  # factor on the front face's reflectance, log-uniform
    tint: Chance = 0.08  # most that the material absorbs of a channel at normal incidence
    dirt: Chance = 0.06  # most that frames, dirt and age take of all light
    edge: Chance = 0.08  # probability that the glass ends within the picture
    glare: Chance = 0.3  # probability of a veil from stray light
    glare_strength: Annotated[float, Field(ge=0)] = 0.04
    colour: Chance = 0.15  # how far the reflected world's light differs in colour
    exposure: Chance = 0.5  # probability that the camera exposes for the sum
    gamma: Range = (1.9, 2.5)  # exponent of the camera's curve; sRGB is near 2.2
    screen: Chance = 0.6  # probability of a shoulder instead of clipping
    noise: Annotated[float, Field(ge=0)] = 0.01  # largest deviation of the noise, in the picture
    jpeg: Chance = 0.3  # probability of JPEG
    quality: Range = (60.0, 98.0)


@dataclass(frozen=True)
class Scene:
    """What all views of one scene share."""

    clean: bool
    strength: float
    floor: float
    highlight: float
    lit: np.ndarray  # 1 x g x g, before a sigmoid
    radius: float
    yaw: float
    pitch: float
    field_of_view: float
    index: float
    thickness: float
    gap: float
    distance: float
    coating: float
    material: tuple[float, float, float]
    dirt: float
    edge: tuple[float, float, float]  # a line (cos, sin, offset): the glass is where it is above zero
    glare: tuple[float, float, float]
    colour: tuple[float, float, float]
    exposure: float
    gamma: float
    screen: bool
    level: float
    quality: float  # 0: no JPEG


@dataclass(frozen=True)
class View:
    """One view: the pane's turn from the scene's mean pose, degrees, and the sensor's noise, 3 x H x W."""

    scene: Scene
    yaw: float
    pitch: float
    noise: Tensor


def draw_scene(rng: SampleRNG, config: GlassConfig) -> Scene:
    """The parameters of one scene, all from its own stream; every call makes the same draws."""
    clean, hard, local = rng.chance(config.clean), rng.chance(config.hard), rng.chance(config.local)
    strength = rng.log_uniform(*(config.hard_strength if hard else config.strength))
    radius = config.defocus * rng.uniform() ** 1.5 * (0.0 if hard else 1.0)
    cells = 2 + rng.integer(4)
    lit = rng.normal(1, cells, cells) * 2 + rng.uniform(-1, 1)
    tint = [1 - config.tint * rng.uniform() for _ in range(3)]
    double, edge, glare = rng.chance(config.double), rng.chance(config.edge), rng.chance(config.glare)
    gap, angle, offset = rng.uniform(*config.gap), rng.uniform(0, 2 * math.pi), rng.uniform(-0.5, 0.8)
    level = rng.uniform(0, config.glare_strength) * float(glare)
    veil = [level * rng.uniform(0.7, 1.3) for _ in range(3)]
    colour = [rng.uniform(1 - config.colour, 1 + config.colour) for _ in range(3)]
    view = rng.uniform(*config.field_of_view)
    yaw = max(0.0, min(config.yaw, STEEPEST - config.rotation - view / 2))
    exposed, compressed = rng.chance(config.exposure), rng.chance(config.jpeg)
    return Scene(
        clean=clean,
        strength=strength,
        floor=rng.uniform(*config.floor),
        highlight=rng.uniform(*config.highlights) * (1.5 if hard else 1.0),
        lit=lit.numpy() if local or hard else np.full((1, 2, 2), 8.0, np.float32),
        radius=radius,
        yaw=rng.uniform(-yaw, yaw),
        pitch=rng.uniform(-config.pitch, config.pitch),
        field_of_view=view,
        index=rng.uniform(*config.index),
        thickness=rng.uniform(*config.thickness),
        gap=gap if double else 0.0,
        distance=rng.log_uniform(*config.distance),
        coating=rng.log_uniform(*config.coating),
        material=(tint[0], tint[1], tint[2]),
        dirt=rng.uniform(0, config.dirt),
        edge=(math.cos(angle), math.sin(angle), offset) if edge else (0.0, 0.0, 1.0),
        glare=(veil[0], veil[1], veil[2]),
        colour=(colour[0], colour[1], colour[2]),
        exposure=rng.uniform() * float(exposed),
        gamma=rng.uniform(*config.gamma),
        screen=rng.chance(config.screen),
        level=rng.uniform(0, config.noise),
        quality=rng.uniform(*config.quality) * float(compressed),
    )


def draw_view(rng: SampleRNG, scene: Scene, height: int, width: int, config: GlassConfig) -> View:
    """One pose of the pane before ``scene``, and the sensor's noise."""
    reach = config.rotation
    return View(scene, rng.uniform(-reach, reach), rng.uniform(-reach, reach), rng.normal(3, height, width))


def simulate(transmission: Tensor, reflection: Tensor, views: list[View]) -> dict[str, Tensor]:
    """Photos through glass from sharp ones.

    ``transmission`` and ``reflection``: B x 3 x H x W, sRGB in [0, 1], on any device, one of each a view (views of
    one scene repeat theirs). Returns, all of that shape: ``input`` (8 bits), ``target`` (as if there were no glass,
    at the photo's exposure), ``through`` (what came through it), ``reflection`` (what the pane added, as a picture
    of its light) and ``light``, the photo before noise, rounding and JPEG, which is :func:`combine_layers` of the
    two. A clean sample's target is its input.
    """
    device = transmission.device
    target, through, light = (transmission.clone() for _ in range(3))
    layer = torch.zeros_like(transmission)
    clean = [row for row, v in enumerate(views) if v.scene.clean]
    glazed = [row for row, v in enumerate(views) if not v.scene.clean]
    step = CPU_VIEWS_AT_ONCE if transmission.is_cpu else len(views)
    for rows in (glazed[at : at + step] for at in range(0, len(glazed), step)):
        shown = _behind_glass(transmission[rows], reflection[rows], [views[row] for row in rows])
        target[rows], through[rows], layer[rows], light[rows] = shown
    noise = torch.stack([v.noise for v in views]).to(device)
    level = torch.tensor([v.scene.level for v in views], device=device)
    photo = develop(light, noise, level, [v.scene.quality for v in views])
    # Noise and JPEG are no reflection: what has no glass in front stays as it is, or they would tell glass.
    target[clean] = photo[clean]
    return {"input": photo, "target": target, "through": through, "reflection": layer, "light": light}


def _behind_glass(transmission: Tensor, reflection: Tensor, views: list[View]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Target, through, reflection and light, see :func:`simulate`, of views through glass."""
    device, (height, width) = transmission.device, transmission.shape[-2:]
    scenes = [v.scene for v in views]

    def rows(values: Sequence[float] | Sequence[tuple[float, float, float]]) -> Tensor:
        return torch.tensor(values, device=device, dtype=torch.float32)

    def column(values: list[float]) -> Tensor:
        return rows(values)[:, None, None, None]

    gamma = rows([s.gamma for s in scenes])
    panes = _panes(views, rows)
    cosine, grid, grid2 = reflected_grids(height, width, panes)
    passed, first, second = passed_and_reflected(cosine, panes)
    glass = glass_mask(rows([s.edge for s in scenes]), height, width)

    t = to_light(transmission, gamma)
    world = _world(reflection, scenes, gamma, rows)
    mean = world.mean((1, 2, 3), keepdim=True)
    world.sub_(column([s.floor for s in scenes]) * mean).clamp_(min=0).mul_(_lit(scenes, height, width, device))
    seen = torch.addcmul(first * sample_mirrored(world, grid), second, sample_mirrored(world, grid2))
    radius = rows([r if (r := s.radius * width) > 0.3 else 0.0 for s in scenes])
    seen = disc_blur(seen, radius).clamp_(min=0)
    # How much brighter the reflected world is follows from the mean pose: a turn of the pane does not change it.
    facing = rows([math.cos(math.radians(s.yaw)) * math.cos(math.radians(s.pitch)) for s in scenes])[:, None, None]
    _, one, other = passed_and_reflected(facing, panes)
    reflected = (one + other).mean((1, 2, 3), keepdim=True) * world.mean((1, 2, 3), keepdim=True)
    brighter = column([s.strength for s in scenes]) * t.mean((1, 2, 3), keepdim=True) / reflected.clamp(min=1e-4)
    dirt = 1 - column([s.dirt for s in scenes])
    passing = torch.addcmul(1 - glass, glass * dirt, passed).mul_(t)
    added = torch.addcmul(glass * rows([s.glare for s in scenes])[:, :, None, None], glass * brighter, seen)
    total = passing.mean((1, 2, 3), keepdim=True) + added.mean((1, 2, 3), keepdim=True)
    total = t.mean((1, 2, 3), keepdim=True) / total.clamp(min=1e-4)
    exposure = total.clamp(max=1.0) ** column([s.exposure for s in scenes])

    target = (transmission * to_picture(exposure, gamma)).clamp_(max=1)  # the curve of a product is that of its factors
    through, layer = to_picture(passing.mul_(exposure), gamma), to_picture(added.mul_(exposure), gamma)
    screen = column([float(s.screen) for s in scenes]) > 0
    return target, through, layer, combine_layers(through, layer, screen, gamma)


def combine_layers(through: Tensor, layer: Tensor, screen: Tensor, gamma: Tensor) -> Tensor:
    """The photo of two pictures of light: their sum, clipped, or under a shoulder where ``screen`` (B x 1 x 1 x 1)."""
    mixed = torch.addcmul(through, layer, 1 - through)
    rows = (~screen).flatten().nonzero()[:, 0]
    if len(rows):
        through, layer, gamma = through[rows], layer[rows], gamma[rows]
        mixed[rows] = to_picture(to_light(through, gamma) + to_light(layer, gamma), gamma)
    return mixed


def _panes(views: list[View], rows: Rows) -> Panes:
    scenes = [v.scene for v in views]

    def normals(turned: bool) -> Tensor:
        turn = float(turned)
        angles = [(v.scene.yaw + turn * v.yaw, v.scene.pitch + turn * v.pitch) for v in views]
        return rows([normal_of(math.radians(yaw), math.radians(pitch)) for yaw, pitch in angles])

    return Panes(
        normal=normals(True),
        reference=normals(False),
        index=rows([s.index for s in scenes]),
        thickness=rows([s.thickness for s in scenes]),
        gap=rows([s.gap for s in scenes]),
        colour=rows([s.material for s in scenes]),
        coating=rows([s.coating for s in scenes]),
        field_of_view=rows([math.radians(s.field_of_view) for s in scenes]),
        distance=rows([s.distance for s in scenes]),
    )


def _world(picture: Tensor, scenes: list[Scene], gamma: Tensor, rows: Rows) -> Tensor:
    """The reflected world's light: mirrored, light sources brighter than white, under its own illuminant."""
    r = to_light(picture.flip(-1), gamma)
    highlight = rows([s.highlight for s in scenes])[:, None, None, None]
    r.mul_(1 + (highlight - 1) * r.amax(1, keepdim=True).square().square())
    return r.mul_(rows([s.colour for s in scenes])[:, :, None, None])


def _lit(scenes: list[Scene], height: int, width: int, device: torch.device) -> Tensor:
    """How much of the reflected world is lit, B x 1 x H x W: ``lit`` resized, bicubic."""

    def weights(side: int, cells: int) -> Tensor:
        return F.interpolate(torch.eye(cells)[None, None], (side, cells), mode="bicubic", align_corners=True)[0]

    fields = [
        weights(height, s.lit.shape[1]) @ torch.from_numpy(s.lit) @ weights(width, s.lit.shape[2]).mT for s in scenes
    ]
    return torch.stack(fields).to(device).sigmoid_()
