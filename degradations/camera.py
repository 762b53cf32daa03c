"""A camera model: response curve, noise, 8-bit quantisation and JPEG; batched torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# ITU-T T.81, Annex K: the tables that nearly every encoder scales.
LUMA = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
CHROMA = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
YCC = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]


def to_light(picture: Tensor, gamma: Tensor) -> Tensor:
    """Convert pictures, B x 3 x H x W in [0, 1], to linear light by a power of ``gamma`` (B; sRGB is near 2.2)."""
    return _power(picture, gamma)


def to_picture(light: Tensor, gamma: Tensor) -> Tensor:
    """Invert :func:`to_light`; light is clipped to [0, 1]."""
    return _power(light.clamp(0, 1), 1 / gamma)


def _power(x: Tensor, exponent: Tensor) -> Tensor:
    """Raise non-negative pictures to an exponent each (B): on a CPU twice as fast as ``pow``."""
    return x.log2().mul_(exponent[:, None, None, None]).exp2_()


def add_noise(picture: Tensor, normal: Tensor, level: Tensor) -> Tensor:
    """Add standard ``normal`` noise times ``level`` (B): shot noise after a gamma of 2 (Anscombe, 1948)."""
    return torch.addcmul(picture, normal, level[:, None, None, None])


def to_8_bit(picture: Tensor) -> Tensor:
    """Round values in [0, 1] to 8-bit levels, clipped."""
    return picture.clamp(0, 1).mul_(255).round_().div_(255)


def develop(picture: Tensor, normal: Tensor, level: Tensor, quality: Sequence[float]) -> Tensor:
    """Add noise (:func:`add_noise`), round to 8 bits, and apply JPEG at the ``quality`` of each picture (0: none)."""
    photo = to_8_bit(add_noise(picture, normal, level))
    packed = [i for i, q in enumerate(quality) if q]
    if packed:
        chosen = torch.tensor([quality[i] for i in packed], device=picture.device, dtype=torch.float32)
        photo[packed] = to_8_bit(jpeg(photo[packed], chosen))
    return photo


def jpeg(picture: Tensor, quality: Tensor) -> Tensor:
    """Apply JPEG, 4:4:4, at each picture's ``quality`` (B, 1 .. 100), without rounding to 8 bits."""
    height, width = picture.shape[-2:]
    x = F.pad(picture * 255, (0, -width % 8, 0, -height % 8), mode="replicate")
    batch, _, tall, wide = x.shape
    matrix = torch.tensor(YCC, device=x.device)
    x = matrix @ x.flatten(2)
    x[:, 0] -= 128
    k = torch.arange(8, device=x.device)
    cosines = torch.cos((2 * k[None, :] + 1) * k[:, None] * math.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None, None]
    chroma = torch.full((8, 8), 99.0)
    chroma[:4, :4] = torch.tensor(CHROMA, dtype=torch.float32)
    tables = torch.stack([torch.tensor(LUMA, dtype=torch.float32), chroma, chroma]).to(x.device)  # at quality 50
    steps = ((tables[None] * scale + 50) / 100).floor().clamp(1, 255)[:, :, None, :, None]
    # Blocks stay where they are, rows and columns are transformed in turn.
    blocks, bands = (batch, 3, tall // 8, 8, wide // 8, 8), (batch, 3, tall // 8, 8, wide)
    freq = (cosines @ (x.reshape(blocks) @ cosines.T).reshape(bands)).reshape(blocks)
    freq = (freq / steps).round_().mul_(steps)
    x = (cosines.T @ (freq @ cosines).reshape(bands)).reshape(batch, 3, -1)
    x[:, 0] += 128
    x = (matrix.inverse() @ x).reshape(batch, 3, tall, wide)
    return (x[..., :height, :width] / 255).clamp(0, 1)
