"""A physical simulator of photos taken through glass, batched torch on any device.

In linear light, for a pane (`degradations.glass_optics`) in pose k in front of a scene T, with a reflected scene R
behind the camera::

    I_k = camera( e_k * [ a_k(v) T(v)  +  g * ( r1_k(v) L R(w_k(v)) + r2_k(v) L R(w'_k(v)) )  +  glare ] )
    target_k = e_k * T(v)

``v`` is a pixel's ray; ``a``, ``r1`` and ``r2`` the pane's transmittance and the reflectances of its two images, by
Fresnel over the field of view; ``w, w'`` the rays of the images in the reflected scene (mirrored, rotated by twice the
pane's turn, the second displaced by thickness and angle); ``L`` the ratio of brightness of the two scenes; ``g`` the
reflection's defocus, a disc; ``e`` the automatic exposure for the sum. Light sources in R are made brighter than white
first. Light below a floor is dropped: reflections show where their scene is bright (Fan et al., ICCV 2017, subtract for
the same reason), and ``lit`` keeps only parts of it bright. The glass may end within the picture. The camera: response
curve, noise, clipping or a shoulder (a screen blend, ``1 - (1 - T)(1 - R)``), 8 bits, JPEG.

Views of one scene share everything but the pose of the pane, so that one transmission comes with different reflections
(the rotating pane of DAI, arXiv 2503.17347). The target is the scene without the glass at the photo's exposure: real
pairs are filmed with the pane removed, and the pane takes about as much light as it adds, so that removing a reflection
need not darken. Further sources: Zhang et al., CVPR 2018 (bright R, clipped addition); Wan et al., ICCV 2017 (real
panes); Kim et al., CVPR 2020 (physical rendering); and those in `degradations.glass_optics`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor

from degradations import glass_optics
from degradations.camera import develop, to_light, to_picture
from degradations.filters import column, disc_blur
from degradations.glass_optics import Panes
from degradations.sample_rng import Chance, LogRange, Range, SampleRNG

MAX_INCIDENCE = 80.0  # degrees; beyond, a pane is a mirror and shows nothing behind it
CPU_VIEWS_AT_ONCE = 2  # more outgrow a CPU's caches, and their memory is allocated anew each time


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class GlassConfig:
    """The distribution. Lengths without a unit are fractions of the picture's width; angles are degrees."""

    clean: Chance = 0.2  # probability of no glass
    strength: LogRange = (0.02, 0.35)  # mean reflected light at the mean pose over the mean light of T, log-uniform
    hard: Chance = 0.1  # probability of a sharp, strong, saturated, local reflection
    hard_strength: LogRange = (0.15, 0.8)
    floor: Range = (0.0, 0.6)  # light of R that is dropped, shares of its mean
    highlights: Range = (1.0, 4.0)  # how much brighter than white light sources become
    local: Chance = 0.4  # probability that only parts of R are lit
    defocus: Annotated[float, Field(ge=0, le=0.1)] = 0.05  # largest radius of the reflection's defocus
    yaw: float = 55.0  # largest turn of the pane about the vertical, less where part of the view would miss it
    pitch: float = 20.0
    rotation: float = 10.0  # largest turn of a view from the scene's mean pose
    field_of_view: Range = (40.0, 75.0)
    index: Range = (1.45, 1.62)  # acrylic to flint; window glass is 1.52
    thickness: Range = (0.002, 0.012)  # m
    double: Chance = 0.2  # probability of double glazing
    gap: Range = (0.006, 0.02)  # m, between its panes
    distance: LogRange = (0.4, 8.0)  # m, from the camera over the pane to the reflected scene, log-uniform
    coating: LogRange = (0.3, 3.0)  # factor on the front face's reflectance, log-uniform
    tint: Chance = 0.08  # largest absorption of a channel by the material at normal incidence
    dirt: Chance = 0.06  # largest loss of light by dirt
    edge: Chance = 0.08  # probability that the glass ends within the picture
    glare: Chance = 0.3  # probability of a veil from stray light
    glare_strength: Annotated[float, Field(ge=0)] = 0.04
    colour: Chance = 0.15  # largest deviation of the channels of R's illuminant from 1
    exposure: Chance = 0.5  # probability that the camera exposes for the sum
    gamma: Range = (1.9, 2.5)  # exponent of the camera's curve; sRGB is near 2.2
    screen: Chance = 0.6  # probability of a shoulder instead of clipping
    noise: Annotated[float, Field(ge=0)] = 0.01  # largest standard deviation of the noise, in the picture
    jpeg: Chance = 0.3  # probability of JPEG
    quality: Range = (60.0, 98.0)


@dataclass(frozen=True)
class Scene:
    """The parameters that all views of one scene share; see `GlassConfig`."""

    clean: bool
    strength: float
    floor: float
    highlight: float
    lit: np.ndarray  # 1 x g x g, logits
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
    """Draw the parameters of one scene; every call draws as many numbers."""
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
    yaw = max(0.0, min(config.yaw, MAX_INCIDENCE - config.rotation - view / 2))
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
    """Draw one pose of the pane before ``scene``, and the sensor's noise."""
    reach = config.rotation
    return View(scene, rng.uniform(-reach, reach), rng.uniform(-reach, reach), rng.normal(3, height, width))


def simulate(transmission: Tensor, reflection: Tensor, views: list[View]) -> dict[str, Tensor]:
    """Simulate photos through glass from sharp ones.

    Args:
        transmission: B x 3 x H x W, sRGB in [0, 1], on any device; views of one scene repeat theirs.
        reflection: The reflected scenes, likewise.
        views: The B views.

    Returns:
        All of that shape: ``input`` (8 bits), ``target`` (without the glass, at the photo's exposure; of a clean
        sample, its input), ``through`` (the light transmitted) and ``reflection`` (the light added), both as pictures,
        and ``light``, the photo before noise, rounding and JPEG, which is :func:`combine_layers` of the two.
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
    # The target of a clean sample has its noise and JPEG too: they must not tell whether there is glass.
    target[clean] = photo[clean]
    return {"input": photo, "target": target, "through": through, "reflection": layer, "light": light}


def _behind_glass(transmission: Tensor, reflection: Tensor, views: list[View]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return target, through, reflection and light, see :func:`simulate`, of views through glass."""
    device, (height, width) = transmission.device, transmission.shape[-2:]
    scenes = [v.scene for v in views]

    def rows(name: str) -> Tensor:
        return torch.tensor([getattr(s, name) for s in scenes], device=device, dtype=torch.float32)

    def columns(name: str) -> Tensor:
        return column([getattr(s, name) for s in scenes], device)

    def mean(x: Tensor) -> Tensor:
        return x.mean((1, 2, 3), keepdim=True)

    gamma = rows("gamma")
    panes = Panes(
        normal=_normals(views, 1.0, device),
        reference=_normals(views, 0.0, device),
        colour=rows("material"),
        field_of_view=torch.tensor([math.radians(s.field_of_view) for s in scenes], device=device),
        **{name: rows(name) for name in ("index", "thickness", "gap", "coating", "distance")},
    )
    cosine, grid, grid2 = glass_optics.reflected_grids(height, width, panes)
    passed, first, second = glass_optics.passed_and_reflected(cosine, panes)
    glass = glass_optics.glass_mask(rows("edge"), height, width)

    t = to_light(transmission, gamma)
    # The reflected scene: mirrored, light sources brighter than white, under its own illuminant.
    world = to_light(reflection.flip(-1), gamma)
    world.mul_(1 + (columns("highlight") - 1) * world.amax(1, keepdim=True).square().square()).mul_(columns("colour"))
    world.sub_(columns("floor") * mean(world)).clamp_(min=0).mul_(_lit(scenes, height, width, device))
    seen = torch.addcmul(
        first * glass_optics.sample_mirrored(world, grid), second, glass_optics.sample_mirrored(world, grid2)
    )
    radius = [r if (r := s.radius * width) > 0.3 else 0.0 for s in scenes]
    seen = disc_blur(seen, torch.tensor(radius, device=device)).clamp_(min=0)
    # The brightness of the reflected scene follows from the mean pose: a turn of the pane does not change it.
    cosines = [math.cos(math.radians(s.yaw)) * math.cos(math.radians(s.pitch)) for s in scenes]
    _, one, other = glass_optics.passed_and_reflected(torch.tensor(cosines, device=device)[:, None, None], panes)
    brighter = columns("strength") * mean(t) / (mean(one + other) * mean(world)).clamp(min=1e-4)
    passing = torch.addcmul(1 - glass, glass * (1 - columns("dirt")), passed).mul_(t)
    added = torch.addcmul(glass * columns("glare"), glass * brighter, seen)
    total = mean(t) / (mean(passing) + mean(added)).clamp(min=1e-4)
    exposure = total.clamp(max=1.0) ** columns("exposure")

    target = (transmission * to_picture(exposure, gamma)).clamp_(max=1)  # the curve of a product is that of its factors
    through, layer = to_picture(passing.mul_(exposure), gamma), to_picture(added.mul_(exposure), gamma)
    return target, through, layer, combine_layers(through, layer, columns("screen") > 0, gamma)


def combine_layers(through: Tensor, layer: Tensor, screen: Tensor, gamma: Tensor) -> Tensor:
    """Add two pictures of light: clipped, or as a screen blend where ``screen`` (B x 1 x 1 x 1)."""
    mixed = torch.addcmul(through, layer, 1 - through)
    rows = (~screen).flatten().nonzero()[:, 0]
    if len(rows):
        through, layer, gamma = through[rows], layer[rows], gamma[rows]
        mixed[rows] = to_picture(to_light(through, gamma) + to_light(layer, gamma), gamma)
    return mixed


def _normals(views: list[View], turned: float, device: torch.device) -> Tensor:
    """Return the panes' normals, B x 3, in the scene's mean pose or (``turned`` 1) in the view's."""
    angles = [(v.scene.yaw + turned * v.yaw, v.scene.pitch + turned * v.pitch) for v in views]
    normals = [glass_optics.normal_of(math.radians(yaw), math.radians(pitch)) for yaw, pitch in angles]
    return torch.tensor(normals, device=device, dtype=torch.float32)


def _lit(scenes: list[Scene], height: int, width: int, device: torch.device) -> Tensor:
    """Return how much of the reflected scene is lit, B x 1 x H x W: ``lit`` resized, bicubic."""

    def weights(side: int, cells: int) -> Tensor:
        return F.interpolate(torch.eye(cells)[None, None], (side, cells), mode="bicubic", align_corners=True)[0]

    fields = [
        weights(height, s.lit.shape[1]) @ torch.from_numpy(s.lit) @ weights(width, s.lit.shape[2]).mT for s in scenes
    ]
    return torch.stack(fields).to(device).sigmoid_()
