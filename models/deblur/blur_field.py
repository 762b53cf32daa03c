"""The blur at each place as an ellipse, and the transfer function of that ellipse.

Four channels describe it: the motion as a vector at twice its angle, ``L cos 2a`` and ``L sin 2a`` (opposite vectors
are the same blur, and become equal), its length ``L`` in pixels, and ``radius`` of the defocus disc, in pixels. The
second moments are those of a uniform line of length ``L`` and of such a disc: L²/12 along the motion and radius²/4 each
way.
"""

from __future__ import annotations

import torch
from torch import Tensor

VARIANCE_FLOOR_PX2 = 0.5  # px², added to a variance for its logarithm


def double_angle(motion: Tensor) -> Tensor:
    """Map motion vectors (dx, dy) in pixels, B x 2 x ..., to (L cos 2a, L sin 2a), equal for opposite vectors."""
    dx, dy = motion.unbind(1)
    length = torch.sqrt(dx**2 + dy**2 + 1e-12)
    return torch.stack([(dx**2 - dy**2) / length, 2 * dx * dy / length], 1)


def to_vector(double: Tensor) -> Tensor:
    """Invert :func:`double_angle`, into the half-plane dx > 0 (or dx = 0 and dy >= 0)."""
    c, s = double.unbind(1)
    length, angle = torch.sqrt(c**2 + s**2), torch.atan2(s, c) / 2
    return torch.stack([length * torch.cos(angle), length * torch.sin(angle)], 1)


def mean_covariance(double: Tensor, radius: Tensor) -> Tensor:
    """Average the covariance (px², B x 2 x 2) over windows, B x rows x columns (x 2: ``double``)."""
    c, s = double.float().unbind(-1)
    length = torch.sqrt(c**2 + s**2 + 1e-12)
    round_part = length**2 / 24 + radius.float() ** 2 / 4
    along, across = length * c / 24, length * s / 24
    parts = [round_part + along, across, across, round_part - along]
    return torch.stack([part.mean((1, 2)) for part in parts], -1).unflatten(-1, (2, 2))


def log_covariance(covariance: Tensor) -> Tensor:
    """Map a covariance, B x 2 x 2 in px², to (u, v, w), B x 3, of its logarithm [[u + v, w], [w, u - v]]."""
    half, differ = (covariance[:, 0, 0] + covariance[:, 1, 1]) / 2, (covariance[:, 0, 0] - covariance[:, 1, 1]) / 2
    across = covariance[:, 0, 1]
    size = torch.sqrt(differ**2 + across**2 + 1e-12)
    large, small = (torch.log(v.clamp(min=0) + VARIANCE_FLOOR_PX2) for v in (half + size, half - size))
    length = (large - small) / 2
    return torch.stack([(large + small) / 2, length * differ / size, length * across / size], 1)


def from_log_covariance(log: Tensor) -> Tensor:
    """Invert :func:`log_covariance`; variances are limited to e^8 px²."""
    u, v, w = log.unbind(1)
    size = torch.sqrt(v**2 + w**2 + 1e-12)
    large, small = (torch.exp((u + sign * size).clamp(max=8)) - VARIANCE_FLOOR_PX2 for sign in (1, -1))
    large, small = large.clamp(min=0), small.clamp(min=0)
    half, differ = (large + small) / 2, (large - small) / 2
    parts = [half + differ * v / size, differ * w / size, differ * w / size, half - differ * v / size]
    return torch.stack(parts, -1).unflatten(-1, (2, 2))


def transfer(double: Tensor, radius: Tensor, fy: Tensor, fx: Tensor, smooth: bool) -> Tensor:
    """Return the blur's transfer function at frequencies in cycles a pixel; real, since the blur is symmetric.

    ``double`` is ... x 2, ``radius`` ...; the result has their leading shape and that of ``fy * fx``. ``smooth`` gives
    a Gaussian of the same second moments, which has no zeros and tolerates a wrong length; else a line's sinc times a
    disc's jinc.
    """
    c, s = (x[..., None, None] for x in double.unbind(-1))
    length = torch.sqrt(c**2 + s**2 + 1e-12)
    # (f . v)^2 from the double angle: L^2 (|f|^2 + cos 2a (fx^2 - fy^2) + 2 sin 2a fx fy) / 2
    square = fx**2 + fy**2
    along = (length**2 * square + length * (c * (fx**2 - fy**2) + 2 * s * fx * fy)) / 2
    across = radius[..., None, None] ** 2 * square
    if smooth:
        return torch.exp(-2 * torch.pi**2 * (along / 12 + across / 4))
    line = torch.sinc(torch.sqrt(along.clamp(min=1e-12)))
    at = 2 * torch.pi * torch.sqrt(across.clamp(min=1e-12))
    return line * jinc(at)


def jinc(at: Tensor) -> Tensor:
    """Return ``2 J1(x) / x`` for x >= 0, with a gradient (Abramowitz and Stegun, 9.4.4 and 9.4.6; error below 1e-6)."""
    small, large = at.clamp(max=3.0), at.clamp(min=3.0)
    t = (small / 3) ** 2
    near = 0.5 + t * (
        -0.56249985 + t * (0.21093573 + t * (-0.03954289 + t * (0.00443319 + t * (-0.00031761 + t * 1.109e-5))))
    )
    u = 3 / large
    size = 0.79788456 + u * (
        1.56e-6 + u * (0.01659667 + u * (0.00017105 + u * (-0.00249511 + u * (0.00113653 - u * 0.00020033))))
    )
    phase = (
        large
        - 2.35619449
        + u * (0.12499612 + u * (5.65e-5 + u * (-0.00637879 + u * (0.00074348 + u * (0.00079824 - u * 0.00029166)))))
    )
    far = size * torch.cos(phase) / large**1.5
    return 2 * torch.where(at < 3, near, far)
