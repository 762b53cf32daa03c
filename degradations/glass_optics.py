"""Optics of a flat pane in front of a pinhole camera: what it reflects, lets through, doubles and moves.

The camera looks along +z, x to the right, y down; the pane is a plane with unit normal ``n`` towards the camera.
A pixel's ray ``v`` meets it at ``cos i = |v . n|`` and leaves as ``H v`` with the Householder matrix
``H = 1 - 2 n n'``. Two poses n0 and n1 of one pane see one world: what pose 1 shows at ``v`` pose 0 shows at
``H0 H1 v``, a rotation by *twice* the angle between the normals. So the reflected scene need be one picture, and
turning the pane warps it by a homography.

Reflectance of a face is Fresnel's for unpolarised light (Born and Wolf, Principles of Optics, 1.5.2), inside
angles are Snell's. The second face's image leaves parallel to the first's, displaced sideways by
``2 h sin i cos i / sqrt(n^2 - sin^2 i)``, which at a distance ``D`` is an angle: the ghost (Shih et al., CVPR
2015). Light inside is absorbed along ``h / cos t`` (Beer and Lambert).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Panes:
    """A batch of panes, all B but the normals and the colour."""

    normal: Tensor  # B x 3, unit, z < 0
    reference: Tensor  # B x 3, the pose in which the reflected scene lies as its photo shows it
    index: Tensor  # refractive index
    thickness: Tensor  # m
    gap: Tensor  # m, air between two panes (double glazing); 0: a single pane
    colour: Tensor  # B x 3, what the material lets through of each channel at normal incidence
    coating: Tensor  # factor on the front face's reflectance: below 1 anti-reflective, above 1 a mirror coat
    field_of_view: Tensor  # rad, horizontal
    distance: Tensor  # m from the camera over the pane to what it reflects


def normal_of(yaw: float, pitch: float) -> tuple[float, float, float]:
    """Unit normal of a pane turned by ``yaw`` (about y) and ``pitch`` (about x), rad; (0, 0) faces the camera."""
    angles = torch.tensor([yaw, pitch], dtype=torch.float64)
    (sy, sp), (cy, cp) = angles.sin().tolist(), angles.cos().tolist()
    return -sy * cp, sp, -cy * cp


def fresnel(cosine: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """(reflectance of an air-glass face for unpolarised light, cosine inside), for cosines of incidence in (0, 1]."""
    inside = (1 - (1 - cosine**2) / index**2).clamp(min=0).sqrt()
    s = (cosine - index * inside) / (cosine + index * inside)
    p = (inside - index * cosine) / (inside + index * cosine)
    return (s**2 + p**2) / 2, inside


def passed_and_reflected(cosine: Tensor, panes: Panes) -> tuple[Tensor, Tensor, Tensor]:
    """Return the shares of light that panes let through, and reflect to the first and to the second image.

    ``cosine`` of the incidence is B x H x W; each share is B x 3 x H x W. The images come from the two faces of a
    single pane, or from the two panes of double glazing.
    """

    def column(x: Tensor) -> Tensor:
        return x[:, None, None]

    back, inside = fresnel(cosine, column(panes.index))
    front = (back * column(panes.coating)).clamp(max=0.9)
    kept = (panes.colour.clamp(min=1e-3).log2()[:, :, None, None] / inside[:, None]).exp2_()
    twice, back, front = kept**2, back[:, None], front[:, None]
    first, second = front.expand_as(kept), (1 - front) ** 2 * back * twice
    through = (1 - front) * (1 - back) * kept / (1 - front * back * twice)
    double = (panes.gap > 0).nonzero()[:, 0]
    if len(double):
        first = first.clone()
        first[double] += second[double]
        back, kept, twice, passed = back[double], kept[double], twice[double], through[double]
        second[double] = passed**2 * (back + (1 - back) ** 2 * back * twice)
        through[double] *= (1 - back) ** 2 * kept / (1 - back**2 * twice)  # the second pane has no coat
    return through, first, second


def displacement(cosine: Tensor, panes: Panes) -> Tensor:
    """Angle, rad (B x H x W), between the first and the second image of a thing ``distance`` away."""

    def column(x: Tensor) -> Tensor:
        return x[:, None, None]

    sine2 = 1 - cosine**2
    glass = (2 * sine2.sqrt() * cosine) * column(panes.thickness) / (column(panes.index) ** 2 - sine2).sqrt()
    air = 2 * column(panes.gap) * sine2.sqrt()
    return (glass + air) / column(panes.distance)


def reflected_grids(height: int, width: int, panes: Panes) -> tuple[Tensor, Tensor, Tensor]:
    """(cosine of incidence, B x H x W; grid of the first image and of the second, B x H x W x 2, for grid_sample).

    The grids index the reflected scene as seen in the reference pose; the second is moved along the plane of incidence.
    """
    n, n0, reach = panes.normal, panes.reference, torch.tan(panes.field_of_view / 2)
    x = ((torch.arange(width, device=n.device) + 0.5) / width * 2 - 1) * reach[:, None, None, None]
    y = ((torch.arange(height, device=n.device) + 0.5) / height * 2 - 1)[:, None] * reach[:, None, None, None]
    y = y * height / width
    length = (x**2 + y**2 + 1).sqrt()  # a pixel's ray is v = (x, y, 1) / length

    def times(matrix: Tensor) -> Tensor:
        """B x k x 3 times every pixel's (x, y, 1): B x k x H x W."""
        a, b, c = matrix[..., None, None].unbind(2)
        return a * x + c + b * y

    along = (times(n[:, None]) / length)[:, 0]
    cosine = along.abs().clamp(0.02, 1.0)
    # H0 H v is v - 2 n0 (n0 . v) - 2 H0 n (n . v): a matrix for each pane, its rows scaled as the grid is.
    turned = n - 2 * (n * n0).sum(1, keepdim=True) * n0
    turn = torch.eye(3, device=n.device) - 2 * n0[:, :, None] * n0[:, None] - 2 * turned[:, :, None] * n[:, None]
    scale = torch.stack([1 / reach, width / height / reach, torch.ones_like(reach)], 1)
    seen = times(turn * scale[:, :, None])
    # A ray reflected by the second face leaves further on: of that way counts what lies across the ray,
    # -(n + (n . v) H v), as long as sin i.
    shift = displacement(cosine, panes) / (1 - along**2).clamp(min=1e-12).sqrt()
    moved = seen * (1 - shift * along)[:, None] - (turned * scale)[:, :, None, None] * (shift[:, None] * length)

    def project(direction: Tensor) -> Tensor:
        return (direction[:, :2] / torch.maximum(direction[:, 2:], 0.05 * length)).permute(0, 2, 3, 1)

    return cosine, project(seen), project(moved)


def sample_mirrored(world: Tensor, grid: Tensor) -> Tensor:
    """Sample the reflected world (B x 3 x H x W) at ``grid``; beyond its borders it is mirrored."""
    return F.grid_sample(world, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def glass_mask(edge: Tensor, height: int, width: int) -> Tensor:
    """Mask of the glass, B x 1 x H x W: 1 on it, 0 beyond its ``edge`` (B x 3: a x + b y + c = 0), a pixel wide."""
    x = torch.linspace(-1, 1, width, device=edge.device)[None, None, :]
    y = torch.linspace(-1, 1, height, device=edge.device)[None, :, None]
    distance = edge[:, 0, None, None] * x + edge[:, 1, None, None] * y + edge[:, 2, None, None]
    return (distance * width / 2 + 0.5).clamp(0, 1)[:, None]
