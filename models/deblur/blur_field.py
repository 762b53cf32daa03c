"""What a blur is at each place: an ellipse, and the transfer function it stands for.

Four channels: the motion as a vector at twice its angle, ``L cos 2a`` and ``L sin 2a`` (sign-free: a blur has no
direction of travel, and a vector and its opposite are one blur), its length ``L`` in pixels, and ``radius``, of the
defocus disc, in pixels. The second moments of blur are those of a uniform line of length ``L`` and of such a disc:
L²/12 along the motion and radius²/4 each way.
"""

from __future__ import annotations

import torch
from torch import Tensor


def double_angle(motion: Tensor) -> Tensor:
    """B x 2 x ... vectors (dx, dy) in pixels to (L cos 2a, L sin 2a): the same for a vector and its opposite."""
    dx, dy = motion.unbind(1)
    length = torch.sqrt(dx**2 + dy**2 + 1e-12)
    return torch.stack([(dx**2 - dy**2) / length, 2 * dx * dy / length], 1)


def to_vector(double: Tensor) -> Tensor:
    """The inverse of :func:`double_angle`, in the half-plane dx > 0 (or dx = 0 and dy >= 0)."""
    c, s = double.unbind(1)
    length, angle = torch.sqrt(c**2 + s**2), torch.atan2(s, c) / 2
    return torch.stack([length * torch.cos(angle), length * torch.sin(angle)], 1)


def transfer(double: Tensor, radius: Tensor, fy: Tensor, fx: Tensor, smooth: bool) -> Tensor:
    """The blur's transfer function at frequencies in cycles a pixel; real, since an ellipse has no direction.

    ``double`` is ... x 2, ``radius`` ...; the result has their leading shape and that of ``fy * fx``. With
    ``smooth`` a Gaussian of the same second moments, which has no zeros and forgives a wrong length; else a line's
    sinc times a disc's jinc.
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
    """``2 J1(x) / x``, a disc's transfer function, for x >= 0; rational, so that it has a gradient.

    Abramowitz and Stegun, 9.4.4 and 9.4.6 (error under 1e-6).
    """
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
