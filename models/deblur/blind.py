"""Blind deconvolution of a photo with one estimated kernel, of any shape.

The motion estimator knows lines and discs alone. Here two steps alternate from coarse to fine scales: the gradients of
the sharp image given the kernel, by L0 regularisation, which keeps few strong edges (Xu, Zheng and Jia, CVPR 2013); and
the kernel that maps those gradients to the photo's, by least squares (Cho and Lee, SIGGRAPH Asia 2009). The covariance
of the blur that the motion estimator found bounds the kernel, or small blur is estimated too wide; at finer scales that
bound is averaged with the covariance of the kernel so far. The whole photo is deconvolved before it is cut into tiles,
so that tiles agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len, prev_fast_len
from torch import Tensor

from models.deblur.blur_field import from_log_covariance, log_covariance
from models.deblur.wiener import mirror_pad, to_light, to_picture

KERNEL_PX = 55  # side of a kernel
MIN_IMAGE_PX = KERNEL_PX + 9
SCALE_RATIO = 2**0.5  # between neighbouring scales
MIN_KERNEL_PX = 5  # side of the kernel at the coarsest scale
ITERATIONS, FINEST_ITERATIONS = 3, 2  # at each scale, and at the finest, where a third has no measurable effect
LIGHT_STD = 0.25  # to which light is normalised
EDGE_WEIGHT, EDGE_WEIGHT_DECAY = 0.03, 0.8  # of the L0 term at the coarsest scale; factor on it at each finer scale
SPLITTING_GROWTH, MAX_SPLITTING_WEIGHT = 4.0, 1e3  # of the half-quadratic splitting
KERNEL_RIDGE = 0.05  # times the mean power of the gradients
KERNEL_SMOOTHNESS = 0.01  # the same on a kernel's gradients, for each px² of the blur's smaller variance
MIN_RELATIVE_VALUE = 0.08  # times the kernel's peak; smaller values are noise
MIN_RELATIVE_SUPPORT = 0.1  # times the maximum of the smoothed kernel; values with less around them are noise
NEIGHBOURHOOD_SIGMA_PX = 1.5  # of that smoothing
BOUND_SIGMAS, BOUND_MARGIN_PX = 3.5, 4.0  # extent of a kernel: deviations of the expected blur, and a margin
TAPER_SHARE = 0.1  # of each side
NOISE_TO_SIGNAL = (0.5, 3.0)  # at 1 cycle a pixel, of the sharper and the smoother deconvolved image
DECONVOLVED_PICTURES = len(NOISE_TO_SIGNAL)
REGION_PX = 768  # largest side of the part of a photo in which the kernel is estimated


@dataclass
class Deconvolved:
    """``kernel``: B x `KERNEL_PX` x `KERNEL_PX`; ``pictures``: B x 3 `DECONVOLVED_PICTURES` x H x W, not clipped."""

    kernel: Tensor
    pictures: Tensor


@torch.no_grad()
def blind_deconvolve(photo: Tensor, covariance: Tensor, region: Tensor | None = None) -> Deconvolved:
    """Estimate one kernel of a photo and deconvolve the photo with it.

    Args:
        photo: B x 3 x H x W in [0, 1].
        covariance: B x 2 x 2 in px²: covariance of the photo's blur, which bounds the kernel.
        region: The part of the photo in which the kernel is estimated; the photo itself by default.
    """
    seen = photo if region is None else region
    with torch.autocast(photo.device.type, enabled=False):  # spectra overflow half precision
        light = to_light(seen.float()).mean(1)
        light = mirror_pad(light, 0, *(max(side, MIN_IMAGE_PX) for side in light.shape[-2:]))
        kernel = estimate_kernel(light, covariance)
    pictures = photo.new_empty(photo.shape[0], 3 * DECONVOLVED_PICTURES, *photo.shape[-2:])
    for channel in range(3):  # one by one: a large photo's spectra are larger
        light = to_light(photo[:, channel].float())
        for place, result in enumerate(deconvolve(light, kernel, NOISE_TO_SIGNAL)):
            pictures[:, 3 * place + channel] = to_picture(result)
    return Deconvolved(kernel, pictures)


def most_textured_region(photo: Tensor) -> Tensor:
    """Return the part of a photo, 1 x 3 x H x W, of up to `REGION_PX` px a side with the strongest gradients."""
    gray = photo.mean(1, keepdim=True)
    power = F.pad(gray.diff(dim=-1), (0, 1)).square() + F.pad(gray.diff(dim=-2), (0, 0, 0, 1)).square()
    step = REGION_PX // 4
    cells = F.avg_pool2d(power.float(), min(step, *gray.shape[-2:]), ceil_mode=True)
    means = F.avg_pool2d(cells, tuple(min(4, side) for side in cells.shape[-2:]), stride=1)
    places = divmod(int(means.flatten().argmax()), means.shape[-1])
    top, left = (max(0, min(at * step, side - REGION_PX)) for at, side in zip(places, photo.shape[-2:], strict=True))
    return photo[..., top : top + REGION_PX, left : left + REGION_PX]


def estimate_kernel(light: Tensor, covariance: Tensor) -> Tensor:
    """Estimate the blur kernel of each image.

    Args:
        light: B x H x W, linear light, sides of `KERNEL_PX` or more.
        covariance: B x 2 x 2 in px² (x, y): covariance of the expected blur, which bounds the kernel.

    Returns:
        B x `KERNEL_PX` x `KERNEL_PX`, not negative, of sum 1, its centroid within a pixel of the centre.
    """
    height, width = (prev_fast_len(side) for side in light.shape[-2:])
    top, left = (light.shape[-2] - height) // 2, (light.shape[-1] - width) // 2
    light = light[:, top : top + height, left : left + width]
    light = light - light.mean((1, 2), keepdim=True)
    light = light / light.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-6) * LIGHT_STD
    covariance = covariance.nan_to_num(0.0, 0.0, 0.0).float()
    scales = [1.0]
    while KERNEL_PX * scales[0] / SCALE_RATIO >= MIN_KERNEL_PX:
        scales.insert(0, scales[0] / SCALE_RATIO)
    narrow = torch.linalg.eigvalsh(covariance)[:, :1, None].clamp(min=0)
    kernel, edge, expected = None, EDGE_WEIGHT, covariance
    for scale in scales:
        size = (_fast(height * scale), _fast(width * scale))
        support = max(3, round(KERNEL_PX * scale) // 2 * 2 + 1)
        photo = light if scale == 1 else _resized(light, size, antialias=True)
        spectrum = torch.fft.rfft2(photo * taper(size, TAPER_SHARE).to(photo))
        bound = _bound(expected, scale, support)
        kernel = _normalised(bound if kernel is None else _resized(kernel, (support, support)).clamp(min=0))
        derivatives = _derivatives(size, spectrum)
        laplacian = derivatives[0].abs() ** 2 + derivatives[1].abs() ** 2
        ridge = KERNEL_RIDGE + KERNEL_SMOOTHNESS * narrow * scale**2 * laplacian
        for _ in range(ITERATIONS if scale < 1 else FINEST_ITERATIONS):
            edges = _edges(spectrum, kernel, size, edge, laplacian)
            kernel = _kernel(spectrum, edges, bound, ridge, size, derivatives)
        edge *= EDGE_WEIGHT_DECAY
        found = _covariance(kernel) / scale**2
        expected = from_log_covariance((log_covariance(covariance) + log_covariance(found)) / 2)
    assert kernel is not None
    return kernel


def _fast(side: float) -> int:
    """Round ``side`` to the nearest length without a prime factor above 11; other FFTs take up to six times as long."""
    below, above = prev_fast_len(int(side)), next_fast_len(math.ceil(side))
    return below if side - below < above - side else above


def response_of(kernel: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the transfer function of a kernel, its centroid at the origin, at the frequencies of ``rfft2``."""
    support = kernel.shape[-1]
    wide = F.pad(kernel, (0, size[1] - support, 0, size[0] - support))
    fy, fx = torch.fft.fftfreq(size[0]).to(kernel)[:, None], torch.fft.rfftfreq(size[1]).to(kernel)
    y, x = (at[:, None, None] + support // 2 for at in _centroid(kernel))
    phase = 2 * torch.pi * (fy * y + fx * x)
    return torch.fft.rfft2(wide) * torch.complex(phase.cos(), phase.sin())


def taper(size: tuple[int, ...], share: float) -> Tensor:
    """Return H x W weights, 1 inside and falling to 0 over ``share`` of each side (a Tukey window)."""
    lines = []
    for side in size[-2:]:
        middle = (torch.arange(side) + 0.5) / side
        near = torch.minimum(middle, 1 - middle)
        lines.append(0.5 - 0.5 * torch.cos(torch.pi * (near / share).clamp(max=1)))
    return lines[0][:, None] * lines[1]


def deconvolve(light: Tensor, kernel: Tensor, noises: Sequence[float]) -> list[Tensor]:
    """Deconvolve ``light``, B x H x W, with ``kernel`` by a Wiener filter for each of ``noises``.

    A noise is the ratio of noise to signal at 1 cycle a pixel; it grows as f², since a natural image's spectrum falls
    as 1/f². Beyond its edge the image is mirrored and faded out.
    """
    height, width = light.shape[-2:]
    margin = MIN_IMAGE_PX
    size = tuple(next_fast_len(side + 2 * margin, real=True) for side in (height, width))
    mean = light.mean((1, 2), keepdim=True)
    wide = mirror_pad(light - mean, margin, *size)
    for dim, side, whole in ((-2, height, size[0]), (-1, width, size[1])):
        at = torch.arange(whole, device=light.device)
        off = torch.maximum(margin - at, at - margin - side + 1).clamp(min=0) / margin
        fade = 0.5 + 0.5 * torch.cos(torch.pi * off.clamp(max=1))
        wide = wide * (fade[:, None] if dim == -2 else fade)
    response = response_of(kernel, size)
    fy, fx = torch.fft.fftfreq(size[0]).to(light)[:, None], torch.fft.rfftfreq(size[1]).to(light)
    spectrum, results = torch.fft.rfft2(wide), []
    for noise in noises:
        inverse = response.conj() / (response.abs() ** 2 + noise * (fy**2 + fx**2) + 1e-4)
        result = torch.fft.irfft2(spectrum * inverse, s=size)
        results.append(result[..., margin : margin + height, margin : margin + width] + mean)
    return results


def _edges(
    spectrum: Tensor, kernel: Tensor, size: tuple[int, ...], edge: float, laplacian: Tensor
) -> tuple[Tensor, Tensor]:
    """Return horizontal and vertical gradients of the sharp image under an L0 penalty, by half-quadratic splitting."""
    response = response_of(kernel, size)
    given, power = response.conj() * spectrum, response.abs() ** 2
    sharp = torch.fft.irfft2(spectrum, s=size)
    weight = 2 * edge
    while True:
        across, down = sharp.roll(-1, 2) - sharp, sharp.roll(-1, 1) - sharp
        if weight >= MAX_SPLITTING_WEIGHT:
            return across, down
        kept = across**2 + down**2 >= edge / weight
        across, down = across * kept, down * kept
        divergence = torch.fft.rfft2(across.roll(1, 2) - across + down.roll(1, 1) - down)
        sharp = torch.fft.irfft2((given + weight * divergence) / (power + weight * laplacian), s=size)
        weight *= SPLITTING_GROWTH


def _kernel(
    spectrum: Tensor,
    edges: tuple[Tensor, Tensor],
    bound: Tensor,
    ridge: Tensor,
    size: tuple[int, ...],
    derivatives: tuple[Tensor, Tensor],
) -> Tensor:
    """Estimate the kernel within ``bound`` that maps ``edges`` to the photo's gradients, by ridge regression."""
    top, power = torch.zeros_like(spectrum), torch.zeros_like(spectrum.real)
    for gradient, derivative in zip(edges, derivatives, strict=True):
        sharp = torch.fft.rfft2(gradient)
        top, power = top + sharp.conj() * derivative * spectrum, power + sharp.abs() ** 2
    ridge = ridge * power.mean((1, 2), keepdim=True) + 1e-12
    support = bound.shape[-1]
    whole = torch.fft.irfft2(top / (power + ridge), s=size).roll((support // 2, support // 2), (1, 2))
    kernel = _denoised((whole[:, :support, :support] * bound).clamp(min=0))
    shifts = [at.round().int().tolist() for at in _centroid(kernel)]
    return torch.stack([k.roll((-y, -x), (0, 1)) for k, y, x in zip(kernel, *shifts, strict=True)])


def _denoised(kernel: Tensor) -> Tensor:
    """Set faint values and isolated specks to zero, and normalise the sum to 1."""
    at = torch.arange(-4, 5, device=kernel.device, dtype=kernel.dtype)
    line = torch.exp(-0.5 * (at / NEIGHBOURHOOD_SIGMA_PX) ** 2)
    around = F.conv2d(kernel[:, None], line.expand(1, 1, 1, -1), padding="same")
    around = F.conv2d(around, line[:, None].expand(1, 1, -1, 1), padding="same")[:, 0]
    kernel = kernel * (around >= MIN_RELATIVE_SUPPORT * around.amax((1, 2), keepdim=True))
    return _normalised(kernel * (kernel >= MIN_RELATIVE_VALUE * kernel.amax((1, 2), keepdim=True)))


def _centroid(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return y and x of the centroids from the centre in pixels, B each, of kernels of sum 1."""
    at = torch.arange(kernel.shape[-1], device=kernel.device, dtype=kernel.dtype) - kernel.shape[-1] // 2
    return (kernel.sum(2) * at).sum(1), (kernel.sum(1) * at).sum(1)


def _covariance(kernel: Tensor) -> Tensor:
    """Return the covariance of kernels of sum 1, in their own pixels (x, y), B x 2 x 2."""
    at = torch.arange(kernel.shape[-1], device=kernel.device, dtype=kernel.dtype)
    rows, columns = kernel.sum(2), kernel.sum(1)
    y, x = ((line * at).sum(1) for line in (rows, columns))
    across = torch.einsum("byx,y,x->b", kernel, at, at) - y * x
    parts = [(columns * at**2).sum(1) - x**2, across, across, (rows * at**2).sum(1) - y**2]
    return torch.stack(parts, -1).unflatten(-1, (2, 2))


def _derivatives(size: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the transfer functions of the differences to the right and lower neighbours."""
    fy = 2 * torch.pi * torch.fft.fftfreq(size[0], device=like.device)[:, None]
    fx = 2 * torch.pi * torch.fft.rfftfreq(size[1], device=like.device)[None]
    return torch.complex(fx.cos() - 1, fx.sin()), torch.complex(fy.cos() - 1, fy.sin())


def _bound(covariance: Tensor, scale: float, support: int) -> Tensor:
    """Return Gaussians of the expected covariance, widened, of peak 1: B x support x support."""
    isotropic = torch.eye(2, device=covariance.device) * ((BOUND_MARGIN_PX * scale) ** 2 + 0.5)
    inverse = torch.linalg.inv(covariance * (BOUND_SIGMAS * scale) ** 2 + isotropic)
    at = torch.arange(support, device=covariance.device, dtype=covariance.dtype) - support // 2
    places = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)
    return torch.exp(-0.5 * torch.einsum("yxi,bij,yxj->byx", places, inverse, places))


def _normalised(kernel: Tensor) -> Tensor:
    """Normalise kernels to sum 1; an empty kernel becomes a point."""
    total = kernel.sum((1, 2), keepdim=True)
    point = torch.zeros_like(kernel)
    point[:, kernel.shape[-1] // 2, kernel.shape[-1] // 2] = 1
    return torch.where(total > 0, kernel / total.clamp(min=1e-12), point)


def _resized(x: Tensor, size: tuple[int, ...], antialias: bool = False) -> Tensor:
    return F.interpolate(x[:, None], size, mode="bilinear", antialias=antialias)[:, 0]
