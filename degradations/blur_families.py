"""The blur families and the distribution of their settings.

The function of a family draws a sample's passes, applied in order, from its random-number generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from degradations import paths
from degradations.blur_layers import Layer, Layers, Mask
from degradations.filters import reach_of
from degradations.kernels import Kernel, aperture, from_points, gaussian, identity, load_kernels, resized
from degradations.paths import Path, Trajectory
from degradations.sample_rng import Chance, LogRange, Range, SampleRNG

OTHERS = "others"
MAX_BLUR_SHARE = 0.2  # longest blur, share of the picture's shorter side: borders are mirrored so far
POINT_SPACING_PX = 0.4  # between the points of a trajectory's kernel
EDGE = (0.006, 0.06)  # width of a region's edge, share of the picture's shorter side
SMALL_MOTION = 1e-3  # at which a camera's views are still linear in its parameters


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class BlurConfig:
    """The distribution. Lengths without a unit are fractions of the picture's shorter side."""

    # Weights by family; a weight of 0 holds a family out. Those not named keep their defaults, or all get the
    # weight "others": {others: 0, linear: 1} is linear motion alone.
    families: dict[str, Annotated[float, Field(ge=0)]] = field(default_factory=dict)
    clean: Chance = 0.12  # probability of no blur
    motion: LogRange = (0.006, 0.1)  # length of the motion of a camera or an object, log-uniform
    sweep: LogRange = (0.01, 0.12)  # longest blur of zoom and rotation, at the picture's edge
    defocus: LogRange = (0.003, 0.04)  # radius of the defocus disc
    gaussian: LogRange = (0.002, 0.02)  # standard deviation
    kernels: FilePath | None = None  # folder of .npy kernels, for the family of that name
    kernel_length: LogRange = (0.02, 0.2)  # longest extent of a measured kernel
    field_of_view: Range = (35.0, 75.0)  # degrees, along the shorter side
    slant: Annotated[float, Field(ge=0, le=1)] = 0.4  # largest tilt of the plane before a shaken camera
    layers: Chance = 0.35  # probability that defocus has two or three layers of depth
    background: Chance = 0.5  # probability that the background of moving objects is blurred too
    lights: Chance = 0.6  # probability that highlights are brighter than white, so that they streak
    highlight: LogRange = (1.5, 12.0)  # how much brighter than white they become, log-uniform
    threshold: Annotated[float, Field(ge=0.5, lt=1)] = 0.9  # value above which a pixel is a highlight
    gamma: Range = (1.9, 2.5)  # exponent of the camera's curve; sRGB is near 2.2
    noise: Annotated[float, Field(ge=0)] = 0.015  # largest standard deviation of the noise, in the picture
    jpeg: Chance = 0.3  # probability of JPEG
    quality: Range = (60.0, 98.0)

    @model_validator(mode="after")
    def _settings_fit(self) -> BlurConfig:
        unknown = sorted(set(self.families) - set(FAMILIES) - {OTHERS})
        if unknown:
            known = ", ".join([*FAMILIES, OTHERS])
            raise ValueError(f"there is no blur family {', '.join(unknown)}: families are named by {known}")
        if not any(self.weights.values()):
            raise ValueError("every blur family has the weight 0: give at least one of families a weight above it")
        if self.weights["kernels"] and self.kernels is None:
            raise ValueError("the family 'kernels' has a weight but no folder: set kernels to one of .npy files")
        half = MAX_BLUR_SHARE / 2
        limits = dict.fromkeys(("motion", "sweep", "kernel_length"), 2 * half) | {"defocus": half, "gaussian": half / 3}
        for name, limit in limits.items():
            if getattr(self, name)[1] > limit:
                raise ValueError(f"{name} must end at {limit:.3g} of the picture's shorter side or below")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every family."""
        others = self.families.get(OTHERS)
        return {
            name: self.families.get(name, default if others is None else others) for name, default in FAMILIES.items()
        }


@dataclass(frozen=True)
class Frame:
    """The size of the picture a blur is drawn for, and the settings."""

    height: int
    width: int
    config: BlurConfig

    @property
    def side(self) -> int:
        """The shorter side, in pixels."""
        return min(self.height, self.width)

    def pixels(self, share: float, reach: float = 0.5) -> float:
        """Convert a share of the shorter side to pixels; ``reach`` times that stays in the mirrored border."""
        return min(share * self.side, (reach_of(self.height, self.width) - 1) / reach)

    def length(self, rng: SampleRNG) -> float:
        """Draw the length of a camera's or an object's motion, in pixels."""
        return self.pixels(rng.log_uniform(*self.config.motion))


def shake(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw a hand-held camera: six degrees of freedom, mixed at random."""
    walk = paths.random_walk(rng, 6).centred()
    view = math.radians(rng.uniform(*frame.config.field_of_view))
    focal = 1 / math.tan(view / 2)
    roll, shift, advance = rng.uniform(0, 2.5), rng.uniform(0, 1), rng.uniform(0, 1.5)
    slant = (rng.uniform(-1, 1) * frame.config.slant, rng.uniform(-1, 1) * frame.config.slant)
    # Rotation about x and y moves the picture by focal * angle, translation by focal * shift, roll by the angle.
    share = np.array([1.0, 1.0, roll * focal, shift, shift, advance * focal]) / focal
    views = partial(paths.camera_matrices, focal=focal, slant=slant)
    return ((Layer(_scaled_path(walk.scaled(share), views, frame.length(rng), frame)),),)


def trajectory(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw one kernel for the whole picture, from a random trajectory."""
    return ((Layer(_walk_kernel(rng, frame.length(rng))),),)


def linear(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw one straight, uniform motion of the whole picture."""
    return ((Layer(_line_kernel(rng, frame.length(rng))),),)


def objects(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw one to three moving objects over a background that is sharp, shaken or out of focus."""
    blurred, defocused = rng.chance(frame.config.background), rng.chance(0.5)
    behind = identity()
    if blurred:
        behind = _aperture(rng, frame) if defocused else _walk_kernel(rng, frame.length(rng) / 2)
    layers = [Layer(behind)]
    for _ in range(1 + min(rng.integer(3), rng.integer(3))):
        mask = _mask(rng, rng.uniform(0.1, 0.4), frame)
        curved = rng.chance(0.4)
        layers.append(Layer((_walk_kernel if curved else _line_kernel)(rng, frame.length(rng)), mask))
    return (tuple(layers),)


def zoom(rng: SampleRNG, frame: Frame, axis: int = 0) -> tuple[Layers, ...]:
    """Draw a zoom (``axis`` 0) or a rotation (1) during the exposure, about a random centre."""
    # Mostly within the picture.
    x, y = (rng.uniform(-0.7, 0.7) * side / frame.side for side in (frame.width, frame.height))
    length = frame.pixels(rng.log_uniform(*frame.config.sweep))

    def views(parameters: np.ndarray) -> np.ndarray:
        still = 0 * parameters[:, 0]
        zoom, angle = (still, parameters[:, 0]) if axis else (parameters[:, 0], still)
        return paths.similarity_matrices(zoom, angle, (x, y))

    return ((Layer(_scaled_path(paths.straight(-1, 1), views, length, frame)),),)


def disc(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw defocus through a round aperture, sometimes in layers of depth."""
    return _depths(rng, frame, 0, 0.0, 0.0)


def polygon(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw defocus through a diaphragm of 5 to 9 blades, whose sides are more or less round."""
    return _depths(rng, frame, 5 + rng.integer(5), rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.5))


def kernels(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw a measured kernel of ``config.kernels``, rotated and resized."""
    assert frame.config.kernels is not None  # checked by BlurConfig
    given = load_kernels(frame.config.kernels)
    length = frame.pixels(rng.log_uniform(*frame.config.kernel_length))
    values = given[rng.integer(len(given))]
    return ((Layer(resized(values, length, rng.uniform(0, 2 * math.pi), rng.chance(0.5))),),)


def gaussian_blur(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw one Gaussian for the whole picture."""
    return ((Layer(gaussian(frame.pixels(rng.log_uniform(*frame.config.gaussian), 3))),),)


def composed(rng: SampleRNG, frame: Frame) -> tuple[Layers, ...]:
    """Draw defocus followed by motion."""
    first = _aperture(rng, frame) if rng.chance(0.7) else gaussian_blur(rng, frame)[0][0].blur
    moved = (shake, trajectory, linear, objects)[rng.integer(4)]
    return ((Layer(first),), *moved(rng, frame))


# Names are part of configurations and reports: add, never rename. With the default weight of each.
DRAWN: dict[str, tuple[Callable[[SampleRNG, Frame], tuple[Layers, ...]], float]] = {
    "shake": (shake, 2.0),
    "trajectory": (trajectory, 2.0),
    "linear": (linear, 1.0),
    "objects": (objects, 1.5),
    "zoom": (zoom, 0.7),
    "rotation": (partial(zoom, axis=1), 0.7),
    "disc": (disc, 1.0),
    "polygon": (polygon, 0.7),
    "kernels": (kernels, 0.0),
    "gaussian": (gaussian_blur, 0.7),
    "composed": (composed, 1.2),
}
FAMILIES = {name: weight for name, (_, weight) in DRAWN.items()}


def _walk_kernel(rng: SampleRNG, length: float) -> Kernel:
    """Draw the kernel of a random trajectory whose farthest point is ``length`` / 2 pixels from its mean."""
    walk = paths.random_walk(rng, 2).centred()
    walk = walk.scaled(length / 2 / np.hypot(*walk.positions.T).max())
    steps = np.hypot(*np.diff(walk.positions, axis=0).T)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    dense = walk.evenly(arc, max(8, math.ceil(arc[-1] / POINT_SPACING_PX)))
    return from_points(dense.positions, dense.weights)


def _line_kernel(rng: SampleRNG, length: float) -> Kernel:
    angle = rng.uniform(0, math.pi)
    count = max(8, math.ceil(length / POINT_SPACING_PX))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    return from_points(np.stack([along * math.cos(angle), along * math.sin(angle)], 1), np.ones(count))


def _scaled_path(walk: Trajectory, views: paths.Matrices, length: float, frame: Frame) -> Path:
    """Scale a trajectory so that the longest blur in the picture is that of a straight motion of ``length`` pixels."""
    unit = paths.longest(walk.scaled(SMALL_MOTION), views, frame.height, frame.width)
    scale = SMALL_MOTION * length / (frame.side / 2) / (math.sqrt(12) * max(unit, 1e-9))
    return paths.integrate(walk.scaled(scale), views, frame.height, frame.width)


def _aperture(rng: SampleRNG, frame: Frame) -> Kernel:
    radius = frame.pixels(rng.log_uniform(*frame.config.defocus), 1)
    return aperture(radius, (0, 0, 5, 6, 8)[rng.integer(5)], rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.5))


def _depths(rng: SampleRNG, frame: Frame, blades: int, angle: float, round_share: float) -> tuple[Layers, ...]:
    """Draw defocus of a scene at one depth, or at two or three, of which one may be in focus."""
    radius = frame.pixels(rng.log_uniform(*frame.config.defocus), 1)
    if not rng.chance(frame.config.layers):
        return ((Layer(aperture(radius, blades, angle, round_share)),),)
    count = 2 + rng.integer(2)
    radii = [radius, *(radius * rng.uniform() for _ in range(count - 1))]
    if rng.chance(0.6):
        radii[1] = 0.0
    if rng.chance(0.5):
        radii.reverse()
    layers = []
    for depth, size in enumerate(radii):
        kernel = aperture(size, blades, angle, round_share) if size > 0.3 else identity()
        mask = _mask(rng, rng.uniform(0.25, 0.6) / depth, frame) if depth else None
        layers.append(Layer(kernel, mask))
    return (tuple(layers),)


def _mask(rng: SampleRNG, share: float, frame: Frame) -> Mask:
    """Draw a region of random outline that covers about ``share`` of the picture, with a softer or harder edge."""
    cells = 4 + rng.integer(4)
    angle, tilt = rng.uniform(0, 2 * math.pi), rng.uniform(0, 4)
    at = torch.linspace(-1, 1, cells)
    # The greater the tilt, the more the region lies to one side, as what is near or far mostly does.
    field = rng.normal(cells, cells) + tilt * (math.cos(angle) * at[None] + math.sin(angle) * at[:, None])
    grown = F.interpolate(field[None, None], (48, 48), mode="bicubic", align_corners=True)[0, 0]
    level = float(torch.quantile(grown, 1 - share))
    # From the field's mean slope, so that the edge is about as wide as drawn.
    slope = float((grown[:, 1:] - grown[:, :-1]).abs().mean()) * 48
    return Mask(field, level, 4 / (max(slope, 1e-6) * rng.log_uniform(*EDGE)))
