"""From the covariance of a blur to what an estimator learns: a vector of motion and a radius of defocus."""

from __future__ import annotations

import torch
from torch import Tensor


def motion_and_defocus(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Motion (B x 2 x H x W: dx, dy, y down) and defocus (B x 1 x H x W), both in pixels.

    ``covariance``: B x 3 x H x W, of x, of x and y, of y, px^2, of the light that meets in a pixel. Motion lies along
    the axis of the largest variance; its length is that of an even straight motion, ``sqrt(12 v)``, v being what that
    axis has above the other. It has no sign (blur does not tell forwards from backwards): dx > 0, or dx = 0 and
    dy >= 0. Defocus is the radius of the disc with the smaller variance along an axis, ``2 sqrt(v)``. So a straight
    motion of length L gives (L, 0 px), a disc of radius r (0, r), and of a composition each gives its own.
    """
    xx, xy, yy = covariance.unbind(1)
    mean, half = (xx + yy) / 2, (xx - yy) / 2
    apart = torch.sqrt(half**2 + xy**2)  # half of what one axis has above the other
    length = torch.sqrt(24 * apart)
    cosine = half / apart.clamp(min=1e-12)  # of twice the angle
    dx = length * torch.sqrt(((1 + cosine) / 2).clamp(min=0))
    dy = length * torch.sqrt(((1 - cosine) / 2).clamp(min=0)) * torch.where(xy < 0, -1.0, 1.0)
    dy = torch.where(dx > 0, dy, dy.abs())
    radius = 2 * torch.sqrt((mean - apart).clamp(min=0))
    return torch.stack([dx, dy], 1), radius[:, None]
