"""Blind estimation of the kernel of a photo that is blurred alike everywhere, of any shape, and deconvolution with it.

The motion estimator knows lines and discs alone. Here two steps alternate from coarse to fine scales: the scene's
gradients under the kernel, by L0 regularisation, which keeps few but sharp edges (Xu, Zheng and Jia, CVPR 2013); and
the kernel that maps those gradients to the photo's, by least squares (Cho and Lee, SIGGRAPH Asia 2009). Added here:
the covariance of the blur that the motion estimator found bounds the kernel, or small blur is estimated too wide; at
finer scales that bound is averaged with the covariance of the kernel so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len, prev_fast_len
from torch import Tensor

from models.deblur.blur_field import from_log_covariance, log_covariance
from models.deblur.windows import mirrored

KERNEL_PX = 55  # side of a kernel
SCALE_RATIO = 2**0.5  # between neighbouring scales
MIN_KERNEL_PX = 5  # side of the kernel at the coarsest scale
ITERATIONS, FINEST_ITERATIONS = 3, 2  # at each scale, and at the finest, where a third has no measurable effect
LIGHT_STD = 0.25  # to which light is normalised
EDGE_WEIGHT = 0.03  # of the L0 term at the coarsest scale, for light of that deviation
EDGE_WEIGHT_DECAY = 0.8  # factor on it at each finer scale
SPLITTING_GROWTH, MAX_SPLITTING_WEIGHT = 4.0, 1e3  # of the half-quadratic splitting
KERNEL_RIDGE = 0.05  # times the mean power of the gradients
KERNEL_SMOOTHNESS = 0.01  # the same on a kernel's gradients, for each px² of the blur's smaller variance
MIN_RELATIVE_VALUE = 0.08  # times the kernel's peak; smaller values are noise
MIN_RELATIVE_SUPPORT = 0.1  # times the maximum of the smoothed kernel; values with less around them are noise
NEIGHBOURHOOD_SIGMA_PX = 1.5  # of that smoothing
BOUND_SIGMAS, BOUND_MARGIN_PX = 3.5, 4.0  # extent of a kernel: deviations of the expected blur, and a margin
TAPER_SHARE = 0.1  # of each side, faded out


def estimate_kernel(light: Tensor, covariance: Tensor) -> Tensor:
    """Estimate the blur kernel of each picture.

    Args:
        light: B x H x W, linear light, sides of `KERNEL_PX` or more.
        covariance: B x 2 x 2 in px² (x, y): covariance of the expected blur, which bounds the kernel.

    Returns:
        B x `KERNEL_PX` x `KERNEL_PX`, not negative, of sum 1, its centroid at the centre to a pixel.
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
        kernel = _unit(bound if kernel is None else _resized(kernel, (support, support)).clamp(min=0))
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
    """Round ``side`` to the nearest number without a prime factor above 11; other FFTs take up to six times as long."""
    below, above = prev_fast_len(int(side)), next_fast_len(math.ceil(side))
    return below if side - below < above - side else above


def response_of(kernel: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the transfer function of a kernel, its centroid at the origin, at the frequencies of ``rfft2``."""
    support = kernel.shape[-1]
    wide = F.pad(kernel, (0, size[1] - support, 0, size[0] - support))
    fy, fx = torch.fft.fftfreq(size[0]).to(kernel)[:, None], torch.fft.rfftfreq(size[1]).to(kernel)
    y, x = (at[:, None, None] + support // 2 for at in _centroid(kernel))
    turn = 2 * torch.pi * (fy * y + fx * x)
    return torch.fft.rfft2(wide) * torch.complex(turn.cos(), turn.sin())


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

    A noise is the ratio of noise to signal at 1 cycle a pixel; it grows as f², since a natural picture's spectrum falls
    as 1/f². Beyond its edge the picture is mirrored and faded out.
    """
    height, width = light.shape[-2:]
    margin = KERNEL_PX + 9
    size = tuple(next_fast_len(side + 2 * margin, real=True) for side in (height, width))
    y, x = (mirrored(side, margin, whole - side - margin) for side, whole in zip((height, width), size, strict=True))
    mean = light.mean((1, 2), keepdim=True)
    wide = (light - mean)[..., y.to(light.device), :][..., x.to(light.device)]
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
    """Return horizontal and vertical gradients of the scene with the fewest edges, by half-quadratic splitting."""
    response = response_of(kernel, size)
    given, power = response.conj() * spectrum, response.abs() ** 2
    scene = torch.fft.irfft2(spectrum, s=size)
    weight = 2 * edge
    while True:
        across, down = scene.roll(-1, 2) - scene, scene.roll(-1, 1) - scene
        if weight >= MAX_SPLITTING_WEIGHT:
            return across, down
        kept = across**2 + down**2 >= edge / weight
        across, down = across * kept, down * kept
        curl = torch.fft.rfft2(across.roll(1, 2) - across + down.roll(1, 1) - down)
        scene = torch.fft.irfft2((given + weight * curl) / (power + weight * laplacian), s=size)
        weight *= SPLITTING_GROWTH


def _kernel(
    spectrum: Tensor,
    edges: tuple[Tensor, Tensor],
    bound: Tensor,
    ridge: Tensor,
    size: tuple[int, ...],
    derivatives: tuple[Tensor, Tensor],
) -> Tensor:
    """Estimate the centred kernel within ``bound`` that maps the gradients ``edges`` to those of the photo.

    ``ridge`` regularises each frequency, in units of the mean power of the gradients.
    """
    top, power = torch.zeros_like(spectrum), torch.zeros_like(spectrum.real)
    for gradient, derivative in zip(edges, derivatives, strict=True):
        scene = torch.fft.rfft2(gradient)
        top, power = top + scene.conj() * derivative * spectrum, power + scene.abs() ** 2
    ridge = ridge * power.mean((1, 2), keepdim=True) + 1e-12
    support = bound.shape[-1]
    whole = torch.fft.irfft2(top / (power + ridge), s=size).roll((support // 2, support // 2), (1, 2))
    kernel = _cleared((whole[:, :support, :support] * bound).clamp(min=0))
    shifts = [at.round().int().tolist() for at in _centroid(kernel)]
    return torch.stack([k.roll((-y, -x), (0, 1)) for k, y, x in zip(kernel, *shifts, strict=True)])


def _cleared(kernel: Tensor) -> Tensor:
    """Remove faint values and isolated specks, which are noise; the sum is 1 again."""
    at = torch.arange(-4, 5, device=kernel.device, dtype=kernel.dtype)
    line = torch.exp(-0.5 * (at / NEIGHBOURHOOD_SIGMA_PX) ** 2)
    around = F.conv2d(kernel[:, None], line.expand(1, 1, 1, -1), padding="same")
    around = F.conv2d(around, line[:, None].expand(1, 1, -1, 1), padding="same")[:, 0]
    kernel = kernel * (around >= MIN_RELATIVE_SUPPORT * around.amax((1, 2), keepdim=True))
    return _unit(kernel * (kernel >= MIN_RELATIVE_VALUE * kernel.amax((1, 2), keepdim=True)))


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
    """Return Gaussians of the expected covariance, widened, their peak 1: B x support x support."""
    round_part = torch.eye(2, device=covariance.device) * ((BOUND_MARGIN_PX * scale) ** 2 + 0.5)
    inverse = torch.linalg.inv(covariance * (BOUND_SIGMAS * scale) ** 2 + round_part)
    at = torch.arange(support, device=covariance.device, dtype=covariance.dtype) - support // 2
    places = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)
    return torch.exp(-0.5 * torch.einsum("yxi,bij,yxj->byx", places, inverse, places))


def _unit(kernel: Tensor) -> Tensor:
    """Normalise kernels to sum 1; an empty kernel becomes a point."""
    total = kernel.sum((1, 2), keepdim=True)
    point = torch.zeros_like(kernel)
    point[:, kernel.shape[-1] // 2, kernel.shape[-1] // 2] = 1
    return torch.where(total > 0, kernel / total.clamp(min=1e-12), point)


def _resized(x: Tensor, size: tuple[int, ...], antialias: bool = False) -> Tensor:
    return F.interpolate(x[:, None], size, mode="bilinear", antialias=antialias)[:, 0]
