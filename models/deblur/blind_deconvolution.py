"""A whole photo deconvolved with one blindly estimated kernel, before it is cut into tiles, so that these agree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.deblur.blind import KERNEL_PX, deconvolve, estimate_kernel
from models.deblur.wiener import to_light, to_picture
from models.deblur.windows import mirrored

NOISE_TO_SIGNAL = (0.5, 3.0)  # over signal at 1 cycle a pixel: keen, and calm
DECONVOLVED_PICTURES = len(NOISE_TO_SIGNAL)  # pictures
REGION_PX = 768  # px; sides of the part of a photo in which the kernel is looked for


@dataclass
class Deconvolved:
    """``kernel``: B x `KERNEL_PX` x `KERNEL_PX`; ``pictures``: B x 3 `DECONVOLVED_PICTURES` x H x W, not clipped."""

    kernel: Tensor
    pictures: Tensor


@torch.no_grad()
def blind_deconvolve(photo: Tensor, covariance: Tensor, region: Tensor | None = None) -> Deconvolved:
    """Estimate one kernel of a photo, and deconvolve the photo with it.

    Args:
        photo: B x 3 x H x W in [0, 1].
        covariance: B x 2 x 2 in px²: covariance of the photo's blur, which bounds the kernel.
        region: The part of the photo in which the kernel is estimated; the photo itself by default.
    """
    seen = photo if region is None else region
    with torch.autocast(photo.device.type, enabled=False):  # spectra are not for half precision
        light = _large_enough(to_light(seen.float()).mean(1))
        kernel = estimate_kernel(light, covariance)
    pictures = photo.new_empty(photo.shape[0], 3 * DECONVOLVED_PICTURES, *photo.shape[-2:])
    for channel in range(3):  # one by one: a large photo's spectra are larger
        light = to_light(photo[:, channel].float())
        for place, result in enumerate(deconvolve(light, kernel, NOISE_TO_SIGNAL)):
            pictures[:, 3 * place + channel] = to_picture(result)
    return Deconvolved(kernel, pictures)


def most_textured_region(photo: Tensor) -> Tensor:
    """Return the part of a photo, 1 x 3 x H x W, of up to `REGION_PX` px a side where gradients are greatest."""
    gray = photo.mean(1, keepdim=True)
    power = F.pad(gray.diff(dim=-1), (0, 1)).square() + F.pad(gray.diff(dim=-2), (0, 0, 0, 1)).square()
    step = REGION_PX // 4
    cells = F.avg_pool2d(power.float(), min(step, *gray.shape[-2:]), ceil_mode=True)
    means = F.avg_pool2d(cells, tuple(min(4, side) for side in cells.shape[-2:]), stride=1)
    row, column = divmod(int(means.flatten().argmax()), means.shape[-1])
    top, left = (
        max(0, min(place * step, side - REGION_PX)) for place, side in zip((row, column), photo.shape[-2:], strict=True)
    )
    return photo[..., top : top + REGION_PX, left : left + REGION_PX]


def _large_enough(light: Tensor) -> Tensor:
    """Mirror pictures beyond their edges where they are smaller than a kernel."""
    height, width = light.shape[-2:]
    y, x = (mirrored(side, 0, max(0, KERNEL_PX + 9 - side)).to(light.device) for side in (height, width))
    return light[:, y][..., x] if min(height, width) < KERNEL_PX + 9 else light
