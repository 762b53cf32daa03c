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


def rays(height: int, width: int, field_of_view: Tensor) -> Tensor:
    """Unit viewing directions of the pixels' centres, B x H x W x 3."""
    reach = torch.tan(field_of_view / 2)[:, None, None]
    x = (torch.arange(width, device=reach.device) + 0.5) / width * 2 - 1
    y = ((torch.arange(height, device=reach.device) + 0.5) / height * 2 - 1) * height / width
    x, y = torch.broadcast_tensors(x[None, None, :] * reach, y[None, :, None] * reach)
    v = torch.stack([x, y, torch.ones_like(x)], -1)
    return v / v.norm(dim=-1, keepdim=True)


def passed_and_reflected(cosine: Tensor, panes: Panes) -> tuple[Tensor, Tensor, Tensor]:
    """Shares of light at incidence ``cosine`` (B x H x W): let through, and reflected to the first and the second
    image, each B x 3 x H x W. The images are the two faces' of a single pane, the two panes' of double glazing."""

    def column(x: Tensor) -> Tensor:
        return x[:, None, None]

    back, inside = fresnel(cosine, column(panes.index))
    front = (back * column(panes.coating)).clamp(max=0.9)
    kept = panes.colour[:, :, None, None].clamp(min=1e-3) ** (1 / inside)[:, None]
    back, front = back[:, None].expand_as(kept), front[:, None].expand_as(kept)
    second = (1 - front) ** 2 * back * kept**2
    through = (1 - front) * (1 - back) * kept / (1 - front * back * kept**2)
    plain = (1 - back) ** 2 * kept / (1 - back**2 * kept**2)  # the second pane of double glazing has no coat
    double = (panes.gap > 0)[:, None, None, None]
    first = torch.where(double, front + second, front)
    second = torch.where(double, through**2 * (back + (1 - back) ** 2 * back * kept**2), second)
    return torch.where(double, through * plain, through), first, second


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
    v = rays(height, width, panes.field_of_view)
    n = panes.normal[:, None, None, :]
    along = (v * n).sum(-1)
    cosine = along.abs().clamp(0.02, 1.0)
    reflected = v - 2 * along[..., None] * n
    # A ray reflected by the second face leaves further on: of that way, what lies across the ray.
    across = -(n + along[..., None] * reflected)
    across = across / across.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    moved = reflected + displacement(cosine, panes)[..., None] * across
    n0 = panes.reference[:, None, None, :]
    seen, other = (w - 2 * (w * n0).sum(-1, keepdim=True) * n0 for w in (reflected, moved))
    reach = torch.tan(panes.field_of_view / 2)[:, None, None, None]

    def project(direction: Tensor) -> Tensor:
        flat = direction[..., :2] / direction[..., 2:].clamp(min=0.05) / reach
        return flat * torch.tensor([1.0, width / height], device=flat.device)

    return cosine, project(seen), project(other)
