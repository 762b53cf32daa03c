"""Wiener deconvolution of a photo and its features, window by window.

Blur is taken as constant within a window (efficient filter flow, Hirsch et al., CVPR 2010). Windows are tapered before
they are deconvolved, and their results summed, since a hard cut at a window's edge rings all over it. Features are
deconvolved as the photo is, since convolutions commute with blur (deep Wiener deconvolution, Dong et al., NeurIPS
2020). Windows lie at multiples of half their side from the image's top left corner, so those of a tile that starts at
such a multiple are windows of the whole image too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.deblur.blur_field import transfer

GAMMA = 2.2
MIN_LIGHT = 1e-4  # below, the camera's curve is too steep to be inverted
SMOOTH_VARIANTS = (True, False)  # deconvolved under a Gaussian of the blur's size, and under its line and disc
LOG_NOISE_TO_SIGNAL = (1.25, -0.75)  # of each variant, at 1 cycle a pixel; the best for known blur, within 0.5
WIENER_EPSILON = 1e-4


def to_light(picture: Tensor) -> Tensor:
    """Convert an image to light, by a gamma of `GAMMA`."""
    return picture.clamp(min=0) ** GAMMA


def to_picture(light: Tensor) -> Tensor:
    """Invert :func:`to_light`, for light of at least `MIN_LIGHT`."""
    return light.clamp(min=MIN_LIGHT) ** (1 / GAMMA)


def grid_size(length: int, side: int) -> int:
    """Return how many windows of ``side`` px, half a side apart, cover ``length`` px, each pixel twice."""
    return -(-length // (side // 2)) + 1


def mirror_pad(x: Tensor, before: int, height: int, width: int) -> Tensor:
    """Extend ... x H x W to ``height`` x ``width`` by repeated mirroring, by ``before`` px at the top and left."""
    for dim, size in ((-2, height), (-1, width)):
        period = max(1, 2 * (x.shape[dim] - 1))
        at = torch.arange(-before, size - before, device=x.device).remainder(period)
        x = x.index_select(dim, torch.minimum(at, period - at) if period > 1 else torch.zeros_like(at))
    return x


def cut(picture: Tensor, side: int) -> Tensor:
    """Cut B x C x H x W, mirrored, into windows centred half a side apart, B x rows x columns x C x side x side."""
    step = side // 2
    height, width = ((grid_size(length, side) + 1) * step for length in picture.shape[-2:])
    padded = mirror_pad(picture, step, height, width)
    return padded.unfold(2, side, step).unfold(3, side, step).permute(0, 2, 3, 1, 4, 5)


def hann(side: int, like: Tensor) -> Tensor:
    """Return side x side weights (a Hann window) that sum to 1 over overlapping windows."""
    line = torch.hann_window(side, periodic=True, device=like.device, dtype=like.dtype)
    return line[:, None] * line


def blend(windows: Tensor, height: int, width: int) -> Tensor:
    """Invert :func:`cut`: blend B x rows x columns x C x side x side into B x C x height x width."""
    return overlap_add(windows, height, width, hann(windows.shape[-1], windows))


def overlap_add(windows: Tensor, height: int, width: int, weights: Tensor | None = None) -> Tensor:
    """Sum windows at their places, each weighted by ``weights`` (side x side) unless it was tapered before."""
    batch, rows, columns, channels, side, _ = windows.shape
    step = side // 2
    whole = windows.new_zeros(batch, channels, rows + 1, step, columns + 1, step)
    # The upper left quarters of all windows lie side by side, and so do the others: faster than F.fold.
    for down in (0, 1):
        for right in (0, 1):
            part = (..., slice(down * step, (down + 1) * step), slice(right * step, (right + 1) * step))
            quarters = windows[part] if weights is None else windows[part] * weights[part]
            whole[:, :, down : down + rows, :, right : right + columns] += quarters.permute(0, 3, 1, 4, 2, 5)
    flat = whole.view(batch, channels, (rows + 1) * step, (columns + 1) * step)
    return flat[..., step : step + height, step : step + width]


class WienerStep(nn.Module):
    """Deconvolves the photo's light, and ``extra`` learned features of it, with the blur of each window.

    A natural image's spectrum falls as 1/f², so the ratio of noise to signal grows as f². Its scale is learned for
    each channel, and ``noise``, a logarithm, is added for each window.
    """

    def __init__(self, extra: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.fy: Tensor
        self.fx: Tensor
        self.features = nn.Conv2d(3, extra, 5, padding=2, padding_mode="replicate") if extra else None
        self.balance = nn.Parameter(torch.zeros(len(SMOOTH_VARIANTS), 3 + extra))
        self.register_buffer("fy", torch.fft.fftfreq(side)[:, None], persistent=False)
        self.register_buffer("fx", torch.fft.rfftfreq(side), persistent=False)

    def forward(self, photo: Tensor, double: Tensor, radius: Tensor, noise: Tensor) -> Tensor:
        """Deconvolve a photo with the blur of each of its windows.

        Args:
            photo: B x 3 x H x W in [0, 1].
            double: The windows' motion at twice its angle in pixels, B x rows x columns x 2.
            radius: Their defocus radius in pixels, B x rows x columns.
            noise: The logarithm of their noise, B x rows x columns.

        Returns:
            B x 2 (3 + extra) x H x W: for each variant the deconvolved photo, as a picture, and the features.
        """
        double, radius, noise = double.float(), radius.float(), noise.float()  # spectra overflow half precision
        light = to_light(photo.float())
        if self.features is not None:
            light = torch.cat([light, self.features(light.to(photo.dtype)).float()], 1)
        spectrum = torch.fft.rfft2(cut(light, self.side) * hann(self.side, light))
        fy, fx = self.fy.float(), self.fx.float()
        square = fy**2 + fx**2
        results = []
        for variant, (smooth, noise_over_signal) in enumerate(zip(SMOOTH_VARIANTS, LOG_NOISE_TO_SIGNAL, strict=True)):
            h = transfer(double, radius, fy, fx, smooth)[:, :, :, None]
            level = torch.exp(noise_over_signal + self.balance[variant].float() + noise[..., None])[..., None, None]
            ratio = h * (1 + WIENER_EPSILON) / (h**2 + WIENER_EPSILON + level * square)  # 1 at frequency 0
            windows = torch.fft.irfft2(spectrum * ratio, s=(self.side, self.side))
            whole = overlap_add(windows, *photo.shape[-2:])
            results += [to_picture(whole[:, :3]), whole[:, 3:]]
        return torch.cat(results, 1)

    def blur(self, picture: Tensor, double: Tensor, radius: Tensor) -> Tensor:
        """Blur a sharp picture, B x C x H x W, with the blur of each window."""
        return self.respond(picture, self.response(double, radius))

    def response(self, double: Tensor, radius: Tensor) -> Tensor:
        """Return the transfer function of each window's blur, for :meth:`respond`."""
        return transfer(double.float(), radius.float(), self.fy.float(), self.fx.float(), smooth=False)[:, :, :, None]

    def respond(self, picture: Tensor, response: Tensor) -> Tensor:
        """Blur a picture as :meth:`blur` does, for several pictures under one blur."""
        # Weighted afterwards, so that wrap-around stays at the windows' edges.
        spectrum = torch.fft.rfft2(cut(to_light(picture.float()), self.side))
        windows = torch.fft.irfft2(spectrum * response, s=(self.side, self.side))
        return to_picture(blend(windows, *picture.shape[-2:]))
