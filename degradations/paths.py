"""Camera trajectories, and spatially varying blur: the mean of a picture's views along such a trajectory.

Coordinates are (x, y, 1) from the picture's centre, in halves of its shorter side, y down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.sample_rng import SampleRNG

WALK_STEPS = 96  # of the random walk, between which is interpolated
TURN = (0.02, 0.35)  # change of direction a step, log-uniform: from nearly straight to curled
PULL = 1.5  # of the spring towards the origin, at the length of the whole trajectory
JERK = 0.02  # probability of an abrupt turn a step, at most
DWELL = 0.6  # standard deviation of the logarithm of the time spent at a place
SPACING_PX = 1.0  # between neighbouring views where they are farthest apart: wider, streaks become rows of dots
MIN_VIEWS, MAX_VIEWS = 4, 128
VIEWS_AT_ONCE = 8
COVARIANCE_STEP_PX = 8  # between the places where the covariance, which is smooth, is computed


@dataclass(frozen=True)
class Trajectory:
    """Positions over the exposure, N x D, and the share of time spent at each, N (sums to 1)."""

    positions: np.ndarray
    weights: np.ndarray

    def centred(self) -> Trajectory:
        """Subtract the mean position over time, so that the blur is centred on the sharp picture."""
        return Trajectory(self.positions - self.weights @ self.positions, self.weights)

    def scaled(self, factor: float | np.ndarray) -> Trajectory:
        """Multiply the positions."""
        return Trajectory(self.positions * factor, self.weights)

    def evenly(self, arc: np.ndarray, count: int) -> Trajectory:
        """Resample to ``count`` positions equally spaced along ``arc`` (N, arc lengths), with the time spent there."""
        arc = np.maximum.accumulate(arc + np.arange(len(arc)) * (1e-9 * max(float(arc[-1]), 1e-9)))
        # Each position's time is shared equally between the intervals on both sides.
        passed = np.concatenate([[0.0], np.cumsum((self.weights[1:] + self.weights[:-1]) / 2)])
        edges = np.linspace(arc[0], arc[-1], count + 1)
        share = np.diff(np.interp(edges, arc, passed))
        middle = (edges[1:] + edges[:-1]) / 2
        columns = [np.interp(middle, arc, column) for column in self.positions.T]
        return Trajectory(np.stack(columns, 1), share / share.sum())


def straight(start: float, end: float) -> Trajectory:
    """Make a uniform motion from one number to another: 1-D."""
    return Trajectory(np.linspace(start, end, WALK_STEPS)[:, None], np.full(WALK_STEPS, 1 / WALK_STEPS))


def random_walk(rng: SampleRNG, dimensions: int) -> Trajectory:
    """Draw a smooth random trajectory of about unit length, in 2 dimensions (a shift) or 6 (a camera's motion).

    After Boracchi and Foi ("Modeling the performance of image restoration from motion blur", IEEE TIP 2012), as
    DeblurGAN (Kupyn et al., CVPR 2018) uses it: constant speed, a direction changed by random forces and a spring
    towards the origin, sometimes an abrupt turn. The time spent at a place varies smoothly.
    """
    nervous = rng.uniform()
    turn = rng.log_uniform(*TURN)
    noise = rng.normal(WALK_STEPS, dimensions).numpy().astype(np.float64)
    first = rng.normal(dimensions).numpy().astype(np.float64)
    jerks = np.array([rng.uniform() for _ in range(WALK_STEPS)]) < JERK * nervous
    dwell = np.interp(np.linspace(0, 1, WALK_STEPS), np.linspace(0, 1, 7), rng.normal(7).numpy()) * DWELL
    direction = first / max(float(np.linalg.norm(first)), 1e-6)
    position = np.zeros(dimensions)
    positions = np.empty((WALK_STEPS, dimensions))
    for step in range(WALK_STEPS):
        positions[step] = position
        direction = direction + turn * noise[step] - PULL / WALK_STEPS * nervous * position
        if jerks[step]:
            direction = -direction + 2 * turn * noise[step]
        direction = direction / max(float(np.linalg.norm(direction)), 1e-6)
        position = position + direction / WALK_STEPS
    weights = np.exp(dwell)
    return Trajectory(positions, weights / weights.sum())


Matrices = Callable[[np.ndarray], np.ndarray]
"""Camera parameters, N x D, to homographies, N x 3 x 3."""


@dataclass(frozen=True)
class Path:
    """``matrices``: T x 3 x 3, from coordinates in the blurred picture to those seen at that time; ``weights``: T."""

    matrices: Tensor
    weights: Tensor


def integrate(trajectory: Trajectory, matrices: Matrices, height: int, width: int) -> Path:
    """Return the path of a camera whose parameters follow ``trajectory``, in as many views as its length needs."""
    moved = _project(matrices(trajectory.positions), _corners(height, width)) * min(height, width) / 2
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=-1).max(1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    count = int(np.clip(math.ceil(arc[-1] / SPACING_PX), MIN_VIEWS, MAX_VIEWS))
    views = trajectory.evenly(arc, count)
    return Path(torch.from_numpy(matrices(views.positions)).float(), torch.from_numpy(views.weights).float())


def longest(trajectory: Trajectory, matrices: Matrices, height: int, width: int) -> float:
    """Return the largest standard deviation of the motion along an axis, over corners and centre.

    In halves of the shorter side; times sqrt(12) it is the length of a uniform straight motion.
    """
    moved = _project(matrices(trajectory.positions), _corners(height, width))
    offset = moved - np.einsum("t,tpc->pc", trajectory.weights, moved)
    covariance = np.einsum("t,tpc,tpd->pcd", trajectory.weights, offset, offset)
    return float(np.sqrt(np.linalg.eigvalsh(covariance)[:, -1].max()))


def camera_matrices(parameters: np.ndarray, focal: float, slant: tuple[float, float]) -> np.ndarray:
    """Return the homographies, N x 3 x 3, of a camera with six degrees of freedom in front of a plane.

    The homography is ``K (R - t n^T) K^-1`` (Hartley and Zisserman, Multiple View Geometry, 13.1); camera shake as the
    mean of such views: Whyte et al., "Non-uniform deblurring for shaken images", CVPR 2010 (rotation); Tai et al.,
    "Richardson-Lucy deblurring for scenes under a projective motion path", TPAMI 2011.

    Args:
        parameters: N x 6: rotation about x, y and z (radians), translation along x, y and z (distances to the plane).
        focal: Focal length in halves of the shorter side.
        slant: The plane is ``slant[0] x + slant[1] y + z = 1``.
    """
    a, b, c = parameters[:, :3].T
    zero, one = np.zeros_like(a), np.ones_like(a)
    about_x = _matrix([one, zero, zero], [zero, np.cos(a), -np.sin(a)], [zero, np.sin(a), np.cos(a)])
    about_y = _matrix([np.cos(b), zero, np.sin(b)], [zero, one, zero], [-np.sin(b), zero, np.cos(b)])
    about_z = _matrix([np.cos(c), -np.sin(c), zero], [np.sin(c), np.cos(c), zero], [zero, zero, one])
    normal = np.array([slant[0], slant[1], 1.0])
    motion = about_z @ about_y @ about_x - parameters[:, 3:, None] * normal[None, None]
    return np.diag([focal, focal, 1.0]) @ motion @ np.diag([1 / focal, 1 / focal, 1.0])


def similarity_matrices(zoom: np.ndarray, angle: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Return N x 3 x 3 that scale by exp(``zoom``) and rotate by ``angle`` (radians), N each, about ``centre``."""
    cos, sin = np.exp(zoom) * np.cos(angle), np.exp(zoom) * np.sin(angle)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    x, y = centre
    return _matrix([cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [zero, zero, one])


def blur_along(planes: Tensor, path: Path, reach: int) -> Tensor:
    """Return the mean of the views of ``planes`` (C x H x W) along ``path``; borders are mirrored for ``reach`` px."""
    channels, height, width = planes.shape
    # Padding once and clamping beyond is several times faster than mirroring in every view.
    padded = F.pad(planes[None], (reach, reach, reach, reach), mode="reflect")
    tall, wide = padded.shape[-2:]
    unit = min(height, width) / 2
    x, y = _places(height, width, 1, planes.device)
    matrices, weights = path.matrices.to(planes.device), path.weights.to(planes.device)
    affine = bool((path.matrices[:, 2, :2] == 0).all())
    # To grid_sample's coordinates of the padded picture, -1 .. 1 over its outer edges.
    m = torch.diag(torch.tensor([2 * unit / wide, 2 * unit / tall, 1.0], device=planes.device)) @ matrices
    blurred = torch.zeros_like(planes)
    for start in range(0, len(m), VIEWS_AT_ONCE):
        part = m[start : start + VIEWS_AT_ONCE, :, :, None, None]
        grid = torch.empty(len(part), height, width, 2, device=planes.device)
        for row in (0, 1):
            torch.add(part[:, row, 0] * x + part[:, row, 2], part[:, row, 1] * y, out=grid[..., row])
        if not affine:
            grid /= (part[:, 2, 0] * x + part[:, 2, 1] * y + part[:, 2, 2])[..., None]
        copies = padded.expand(len(part), -1, -1, -1)
        views = F.grid_sample(copies, grid, mode="bilinear", padding_mode="border", align_corners=False)
        blurred += torch.tensordot(weights[start : start + VIEWS_AT_ONCE], views, 1)
    return blurred


def path_covariance(path: Path, height: int, width: int, device: torch.device) -> Tensor:
    """Return the covariance (xx, xy, yy) of the places seen from each pixel, 3 x H x W in px²."""
    x, y = _places(height, width, COVARIANCE_STEP_PX, device)
    m, w = path.matrices.to(device)[..., None, None], path.weights.to(device)[:, None, None]
    depth = m[:, 2, 0] * x + m[:, 2, 1] * y + m[:, 2, 2]
    u = ((m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]) / depth - x) * min(height, width) / 2
    v = ((m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]) / depth - y) * min(height, width) / 2
    u, v = u - (w * u).sum(0), v - (w * v).sum(0)
    covariance = torch.stack([(w * u * u).sum(0), (w * u * v).sum(0), (w * v * v).sum(0)])
    return F.interpolate(covariance[None], (height, width), mode="bilinear", align_corners=True)[0]


def _places(height: int, width: int, cell: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x (1 x w) and y (h x 1) of pixels, or of a grid of about ``cell`` pixels between the outermost ones."""
    unit = min(height, width) / 2
    across, down = ((n - 1) / 2 / unit for n in (width, height))
    x = torch.linspace(-across, across, -(-(width - 1) // cell) + 1, device=device)[None]
    y = torch.linspace(-down, down, -(-(height - 1) // cell) + 1, device=device)[:, None]
    return x, y


def _corners(height: int, width: int) -> np.ndarray:
    """Return x and y of the picture's centre and corners, 5 x 2."""
    unit = min(height, width)
    return np.array([[0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]]) * np.array([width / unit, height / unit])


def _project(matrices: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Map P x 2 places by each of T matrices: T x P x 2."""
    homogeneous = np.concatenate([places, np.ones((len(places), 1))], 1)
    seen = np.einsum("tij,pj->tpi", matrices, homogeneous)
    return seen[..., :2] / seen[..., 2:]


def _matrix(*rows: list[np.ndarray]) -> np.ndarray:
    """Return N x 3 x 3 from three rows of three arrays of N."""
    return np.stack([np.stack(row, -1) for row in rows], -2)
