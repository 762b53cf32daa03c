"""Optics of a flat pane in front of a pinhole camera: reflectance, transmittance and ghost.

The camera looks along +z, x to the right, y down; the pane is a plane with unit normal ``n`` towards the camera.
A pixel's ray ``v`` meets it at ``cos i = |v . n|`` and is reflected to ``H v`` with the Householder matrix
``H = 1 - 2 n n'``. The reflection at ``v`` in a pose of normal n1 is the one at ``H0 H1 v`` in a pose of normal n0, a
rotation by *twice* the angle between the normals. So the reflected scene is one picture, and a turn of the pane warps
it by a homography.

The reflectance of a face is Fresnel's for unpolarised light (Born and Wolf, Principles of Optics, 1.5.2); angles inside
follow Snell's law. The image in the second face is parallel to that in the first, displaced sideways by
``2 h sin i cos i / sqrt(n^2 - sin^2 i)``, which at a distance ``D`` is an angle: the ghost (Shih et al., CVPR
2015). Light inside is absorbed along ``h / cos t`` (Beer-Lambert law).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Panes:
    """A batch of panes; each parameter is B, or B x 3."""

    normal: Tensor  # B x 3, unit, z < 0
    reference: Tensor  # B x 3, normal of the pose that shows the reflected picture unwarped
    index: Tensor  # refractive index
    thickness: Tensor  # m
    gap: Tensor  # m, air between two panes (double glazing); 0: a single pane
    colour: Tensor  # B x 3, transmittance of the material for each channel at normal incidence
    coating: Tensor  # factor on the front face's reflectance: below 1 anti-reflective, above 1 a mirror coat
    field_of_view: Tensor  # rad, horizontal
    distance: Tensor  # m, from the camera over the pane to the reflected scene


def normal_of(yaw: float, pitch: float) -> tuple[float, float, float]:
    """Return the unit normal of a pane turned by ``yaw`` (about y) and ``pitch`` (about x), rad; at 0 it is frontal."""
    angles = torch.tensor([yaw, pitch], dtype=torch.float64)
    (sy, sp), (cy, cp) = angles.sin().tolist(), angles.cos().tolist()
    return -sy * cp, sp, -cy * cp


def fresnel(cosine: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the reflectance of an air-glass face and the cosine inside, for cosines of incidence in (0, 1]."""
    inside = (1 - (1 - cosine**2) / index**2).clamp(min=0).sqrt()
    s = (cosine - index * inside) / (cosine + index * inside)
    p = (inside - index * cosine) / (inside + index * cosine)
    return (s**2 + p**2) / 2, inside


def passed_and_reflected(cosine: Tensor, panes: Panes) -> tuple[Tensor, Tensor, Tensor]:
    """Return transmittance, and reflectance of the first and second image, B x 3 x H x W, at cosines B x H x W."""
    back, inside = fresnel(cosine, panes.index[:, None, None])
    front = (back * panes.coating[:, None, None]).clamp(max=0.9)
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
    """Return the angle between the first and the second image of what is ``distance`` away, rad, B x H x W."""
    thickness, index, gap, distance = (
        x[:, None, None] for x in (panes.thickness, panes.index, panes.gap, panes.distance)
    )
    sine2 = 1 - cosine**2
    glass = (2 * sine2.sqrt() * cosine) * thickness / (index**2 - sine2).sqrt()
    return (glass + 2 * gap * sine2.sqrt()) / distance


def reflected_grids(height: int, width: int, panes: Panes) -> tuple[Tensor, Tensor, Tensor]:
    """Return cosines of incidence, B x H x W, and grids of both images in the reference pose, B x H x W x 2."""
    n, n0, reach = panes.normal, panes.reference, torch.tan(panes.field_of_view / 2)
    x = ((torch.arange(width, device=n.device) + 0.5) / width * 2 - 1) * reach[:, None, None, None]
    y = ((torch.arange(height, device=n.device) + 0.5) / height * 2 - 1)[:, None] * reach[:, None, None, None]
    y = y * height / width
    length = (x**2 + y**2 + 1).sqrt()  # a pixel's ray is v = (x, y, 1) / length

    def times(matrix: Tensor) -> Tensor:
        """Multiply B x k x 3 by every pixel's (x, y, 1): B x k x H x W."""
        a, b, c = matrix[..., None, None].unbind(2)
        return a * x + c + b * y

    along = (times(n[:, None]) / length)[:, 0]
    cosine = along.abs().clamp(0.02, 1.0)
    # H0 H v is v - 2 n0 (n0 . v) - 2 H0 n (n . v): a matrix for each pane, its rows scaled as the grid is.
    turned = n - 2 * (n * n0).sum(1, keepdim=True) * n0
    turn = torch.eye(3, device=n.device) - 2 * n0[:, :, None] * n0[:, None] - 2 * turned[:, :, None] * n[:, None]
    scale = torch.stack([1 / reach, width / height / reach, torch.ones_like(reach)], 1)
    seen = times(turn * scale[:, :, None])
    # The displacement in the second face, across the ray: its direction is -(n + (n . v) H v), of length sin i.
    shift = displacement(cosine, panes) / (1 - along**2).clamp(min=1e-12).sqrt()
    moved = seen * (1 - shift * along)[:, None] - (turned * scale)[:, :, None, None] * (shift[:, None] * length)

    def project(direction: Tensor) -> Tensor:
        return (direction[:, :2] / torch.maximum(direction[:, 2:], 0.05 * length)).permute(0, 2, 3, 1)

    return cosine, project(seen), project(moved)


def sample_mirrored(world: Tensor, grid: Tensor) -> Tensor:
    """Sample the reflected scene (B x 3 x H x W) at ``grid``; beyond its borders it is mirrored."""
    return F.grid_sample(world, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def glass_mask(edge: Tensor, height: int, width: int) -> Tensor:
    """Return the mask of the glass, B x 1 x H x W: 1 on it, 0 beyond its ``edge`` (B x 3: a x + b y + c = 0)."""
    x = torch.linspace(-1, 1, width, device=edge.device)[None, None, :]
    y = torch.linspace(-1, 1, height, device=edge.device)[None, :, None]
    distance = edge[:, 0, None, None] * x + edge[:, 1, None, None] * y + edge[:, 2, None, None]
    return (distance * width / 2 + 0.5).clamp(0, 1)[:, None]
