"""Spatially varying blur: a picture integrated along homographies, the views of a moving camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.trajectory import Trajectory

SPACING = 1.0  # px between neighbouring views where they are farthest apart: wider, streaks become rows of dots
LEAST_VIEWS, MOST_VIEWS = 4, 128
VIEWS_AT_ONCE = 8  # views computed at once
COVARIANCE_STEP_PX = 8  # px between the places where the covariance is computed; it is smooth
Matrices = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Path:
    """``matrices``: T x 3 x 3, from a place in the blurred picture to the place seen at that time; ``weights``: T.

    Places are (x, y, 1) from the picture's centre, in halves of its shorter side, y down.
    """

    matrices: Tensor
    weights: Tensor


def integrate(trajectory: Trajectory, matrices: Matrices, height: int, width: int) -> Path:
    """The path of a camera whose parameters follow ``trajectory``, in as many views as its length needs.

    ``matrices`` takes N x D parameters to N x 3 x 3 homographies.
    """
    corners = _corners(height, width)
    moved = _project(matrices(trajectory.positions), corners) * min(height, width) / 2
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=-1).max(1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    count = int(np.clip(math.ceil(arc[-1] / SPACING), LEAST_VIEWS, MOST_VIEWS))
    views = trajectory.evenly(arc, count)
    return Path(torch.from_numpy(matrices(views.positions)).float(), torch.from_numpy(views.weights).float())


def longest(trajectory: Trajectory, matrices: Matrices, height: int, width: int) -> float:
    """The largest standard deviation along a line, over corners and centre, of where a place is seen.

    Times sqrt(12) this is the length of an even straight motion; in halves of the shorter side.
    """
    moved = _project(matrices(trajectory.positions), _corners(height, width))
    offset = moved - np.einsum("t,tpc->pc", trajectory.weights, moved)
    covariance = np.einsum("t,tpc,tpd->pcd", trajectory.weights, offset, offset)
    return float(np.sqrt(np.linalg.eigvalsh(covariance)[:, -1].max()))


def camera_matrices(parameters: np.ndarray, focal: float, slant: tuple[float, float]) -> np.ndarray:
    """Homographies of a camera with six degrees of freedom in front of a plane: N x 6 to N x 3 x 3.

    Parameters: rotation about x, y and z (radians), translation along x, y and z (distances to the plane).
    ``focal`` is in halves of the shorter side; the plane is ``slant[0] x + slant[1] y + z = 1``. The homography is
    ``K (R - t n^T) K^-1`` (Hartley and Zisserman, Multiple View Geometry, 13.1); that a shaken picture is the mean
    of such views: Whyte et al., "Non-uniform deblurring for shaken images", CVPR 2010 (rotation); Tai et al.,
    "Richardson-Lucy deblurring for scenes under a projective motion path", TPAMI 2011.
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
    """Scaling by exp(``zoom``) and turning by ``angle`` (radians), N each, about ``centre``: N x 3 x 3."""
    cos, sin = np.exp(zoom) * np.cos(angle), np.exp(zoom) * np.sin(angle)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    x, y = centre
    return _matrix(
        [cos, -sin, x - cos * x + sin * y],
        [sin, cos, y - sin * x - cos * y],
        [zero, zero, one],
    )


def blur_along(planes: Tensor, path: Path, reach: int) -> Tensor:
    """The mean of the views of ``planes`` (C x H x W) along ``path``; borders are mirrored for ``reach`` pixels."""
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
        views = F.grid_sample(
            padded.expand(len(part), -1, -1, -1), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        blurred += torch.tensordot(weights[start : start + VIEWS_AT_ONCE], views, 1)
    return blurred


def path_covariance(path: Path, height: int, width: int, device: torch.device) -> Tensor:
    """Covariance of the places seen from each pixel, in px^2: 3 x H x W (of x, of x and y, of y)."""
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
    """The picture's centre and corners, 5 x 2, in halves of the shorter side."""
    unit = min(height, width)
    return np.array([[0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]]) * np.array([width / unit, height / unit])


def _project(matrices: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Where each matrix takes each place: T x P x 2."""
    homogeneous = np.concatenate([places, np.ones((len(places), 1))], 1)
    seen = np.einsum("tij,pj->tpi", matrices, homogeneous)
    return seen[..., :2] / seen[..., 2:]


def _matrix(*rows: list[np.ndarray]) -> np.ndarray:
    """N x 3 x 3 from three rows of three arrays of N."""
    return np.stack([np.stack(row, -1) for row in rows], -2)
