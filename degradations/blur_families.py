"""The blur families: what a sample of each goes through, drawn from its own stream.

Each function gives the sample's passes, one after the other, each of them layers from the back to the front.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from degradations.blur_config import BlurConfig
from degradations.blur_layers import Layer, Layers, Mask
from degradations.filters import reach_of
from degradations.kernels import Kernel, aperture, from_points, gaussian, identity, load_kernels, resized
from degradations.paths import Matrices, Path, camera_matrices, integrate, longest, similarity_matrices
from degradations.sample_rng import Draws
from degradations.trajectory import Trajectory, random_walk, straight

FINE = 0.4  # px between the points of a trajectory's kernel
EDGE = (0.006, 0.06)  # width of a region's edge, share of the picture's shorter side
SMALL = 1e-3  # a motion at which a camera's views are still linear in its parameters


@dataclass(frozen=True)
class Frame:
    """The picture a blur is drawn for, and the settings."""

    height: int
    width: int
    config: BlurConfig

    @property
    def side(self) -> int:
        return min(self.height, self.width)

    def pixels(self, share: float, reach: float = 0.5) -> float:
        """A length in pixels whose ``reach``-fold stays within what borders are mirrored for."""
        return min(share * self.side, (reach_of(self.height, self.width) - 1) / reach)

    def length(self, draws: Draws) -> float:
        return self.pixels(draws.log_uniform(*self.config.motion))


def shake(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    """A hand-held camera: six random motions, of which each hand and lens mixes its own share."""
    walk = random_walk(draws, 6).centred()
    view = math.radians(draws.uniform(*frame.config.field_of_view))
    focal = 1 / math.tan(view / 2)
    roll, shift, advance = draws.uniform(0, 2.5), draws.uniform(0, 1), draws.uniform(0, 1.5)
    slant = (draws.uniform(-1, 1) * frame.config.slant, draws.uniform(-1, 1) * frame.config.slant)
    # Turning about x and y moves the picture by focal * angle, shifting it by focal * shift, rolling by the angle.
    share = np.array([1.0, 1.0, roll * focal, shift, shift, advance * focal]) / focal

    def views(parameters: np.ndarray) -> np.ndarray:
        return camera_matrices(parameters, focal, slant)

    return (
        (Layer(_scaled_path(Trajectory(walk.positions * share, walk.weights), views, frame.length(draws), frame)),),
    )


def trajectory(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    return ((Layer(_walk_kernel(draws, frame.length(draws))),),)


def linear(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    return ((Layer(_line_kernel(draws, frame.length(draws))),),)


def objects(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    """One to three objects that move, over what stands still, is shaken, or is out of focus."""
    blurred, defocused = draws.chance(frame.config.background), draws.chance(0.5)
    behind = identity()
    if blurred:
        behind = _aperture(draws, frame) if defocused else _walk_kernel(draws, frame.length(draws) / 2)
    layers = [Layer(behind)]
    for _ in range(1 + min(draws.integer(3), draws.integer(3))):
        mask = _mask(draws, draws.uniform(0.1, 0.4), frame)
        curved = draws.chance(0.4)
        layers.append(Layer((_walk_kernel if curved else _line_kernel)(draws, frame.length(draws)), mask))
    return (tuple(layers),)


def zoom(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    centre = _centre(draws, frame)
    length = frame.pixels(draws.log_uniform(*frame.config.sweep))

    def views(parameters: np.ndarray) -> np.ndarray:
        return similarity_matrices(parameters[:, 0], 0 * parameters[:, 0], centre)

    return ((Layer(_scaled_path(straight(-1, 1), views, length, frame)),),)


def rotation(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    centre = _centre(draws, frame)
    length = frame.pixels(draws.log_uniform(*frame.config.sweep))

    def views(parameters: np.ndarray) -> np.ndarray:
        return similarity_matrices(0 * parameters[:, 0], parameters[:, 0], centre)

    return ((Layer(_scaled_path(straight(-1, 1), views, length, frame)),),)


def disc(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    return _depths(draws, frame, 0, 0.0, 0.0)


def polygon(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    """A diaphragm of 5 to 9 blades, which at wide apertures are rounder."""
    return _depths(draws, frame, 5 + draws.integer(5), draws.uniform(0, 2 * math.pi), draws.uniform(0, 0.5))


def kernels(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    if frame.config.kernels is None:
        raise ValueError("The family 'kernels' needs a folder of .npy files: set kernels in the blur's settings.")
    given = load_kernels(frame.config.kernels)
    length = frame.pixels(draws.log_uniform(*frame.config.kernel_length))
    values = given[draws.integer(len(given))]
    return ((Layer(resized(values, length, draws.uniform(0, 2 * math.pi), draws.chance(0.5))),),)


def gaussian_blur(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    return ((Layer(gaussian(frame.pixels(draws.log_uniform(*frame.config.gaussian), 3))),),)


def composed(draws: Draws, frame: Frame) -> tuple[Layers, ...]:
    """Out of focus and shaken: the lens blurs first, what moves is its picture."""
    first = _aperture(draws, frame) if draws.chance(0.7) else gaussian_blur(draws, frame)[0][0].blur
    moved = (shake, trajectory, linear, objects)[draws.integer(4)]
    return ((Layer(first),), *moved(draws, frame))


DRAWN: dict[str, Callable[[Draws, Frame], tuple[Layers, ...]]] = {
    "shake": shake,
    "trajectory": trajectory,
    "linear": linear,
    "objects": objects,
    "zoom": zoom,
    "rotation": rotation,
    "disc": disc,
    "polygon": polygon,
    "kernels": kernels,
    "gaussian": gaussian_blur,
    "composed": composed,
}


def _walk_kernel(draws: Draws, length: float) -> Kernel:
    """A random trajectory's kernel, whose farthest point is ``length`` / 2 from its mean."""
    walk = random_walk(draws, 2).centred()
    walk = Trajectory(walk.positions * (length / 2 / np.hypot(*walk.positions.T).max()), walk.weights)
    steps = np.hypot(*np.diff(walk.positions, axis=0).T)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    dense = walk.evenly(arc, max(8, math.ceil(arc[-1] / FINE)))
    return from_points(dense.positions, dense.weights)


def _line_kernel(draws: Draws, length: float) -> Kernel:
    angle = draws.uniform(0, math.pi)
    count = max(8, math.ceil(length / FINE))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    return from_points(np.stack([along * math.cos(angle), along * math.sin(angle)], 1), np.ones(count))


def _scaled_path(walk: Trajectory, views: Matrices, length: float, frame: Frame) -> Path:
    """The path along which the longest blur in the picture is that of a straight motion of ``length`` pixels."""
    unit = longest(Trajectory(walk.positions * SMALL, walk.weights), views, frame.height, frame.width)
    scale = SMALL * length / (frame.side / 2) / (math.sqrt(12) * max(unit, 1e-9))
    return integrate(Trajectory(walk.positions * scale, walk.weights), views, frame.height, frame.width)


def _aperture(draws: Draws, frame: Frame) -> Kernel:
    radius = frame.pixels(draws.log_uniform(*frame.config.defocus), 1)
    return aperture(radius, (0, 0, 5, 6, 8)[draws.integer(5)], draws.uniform(0, 2 * math.pi), draws.uniform(0, 0.5))


def _depths(draws: Draws, frame: Frame, blades: int, angle: float, round_share: float) -> tuple[Layers, ...]:
    """Defocus of a scene at one depth, or at two or three, of which one may be in focus."""
    radius = frame.pixels(draws.log_uniform(*frame.config.defocus), 1)
    if not draws.chance(frame.config.layers):
        return ((Layer(aperture(radius, blades, angle, round_share)),),)
    count = 2 + draws.integer(2)
    radii = [radius, *(radius * draws.uniform() for _ in range(count - 1))]
    if draws.chance(0.6):
        radii[1] = 0.0
    if draws.chance(0.5):
        radii.reverse()
    layers = []
    for depth, size in enumerate(radii):
        kernel = aperture(size, blades, angle, round_share) if size > 0.3 else identity()
        mask = _mask(draws, draws.uniform(0.25, 0.6) / depth, frame) if depth else None
        layers.append(Layer(kernel, mask))
    return (tuple(layers),)


def _mask(draws: Draws, share: float, frame: Frame) -> Mask:
    """A region of random outline that holds about ``share`` of the picture, with a softer or harder edge."""
    cells = 4 + draws.integer(4)
    angle, tilt = draws.uniform(0, 2 * math.pi), draws.uniform(0, 4)
    at = torch.linspace(-1, 1, cells)
    # The more it is tilted, the more the region lies to one side, as what is near or far mostly does.
    field = draws.normal(cells, cells) + tilt * (math.cos(angle) * at[None] + math.sin(angle) * at[:, None])
    grown = F.interpolate(field[None, None], (48, 48), mode="bicubic", align_corners=True)[0, 0]
    level = float(torch.quantile(grown, 1 - share))
    # From the field's mean slope, so that the edge is about as wide as drawn.
    slope = float((grown[:, 1:] - grown[:, :-1]).abs().mean()) * 48
    return Mask(field, level, 4 / (max(slope, 1e-6) * draws.log_uniform(*EDGE)))


def _centre(draws: Draws, frame: Frame) -> tuple[float, float]:
    """Mostly within the picture, in halves of the shorter side."""
    return draws.uniform(-0.7, 0.7) * frame.width / frame.side, draws.uniform(-0.7, 0.7) * frame.height / frame.side
