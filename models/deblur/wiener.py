"""A Wiener deconvolution of features, window by window, and the blur it inverts.

Blur is taken as constant within a window (efficient filter flow, Hirsch et al., CVPR 2010). Windows are tapered before
they are deconvolved, and their results summed, since a hard cut at a window's edge rings all over it. Features are
deconvolved as the photo is, since convolutions commute with blur (deep Wiener deconvolution, Dong et al., NeurIPS
2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.deblur.blur_field import transfer
from models.deblur.windows import blend, cut, fading, overlap_add

GAMMA = 2.2
MIN_LIGHT = 1e-4  # below, the camera's curve is too steep to be inverted
SMOOTH_VARIANTS = (True, False)  # deconvolved under a Gaussian of the blur's size, and under its line and disc
LOG_NOISE_TO_SIGNAL = (1.25, -0.75)  # of each variant, at 1 cycle a pixel; the best for known blur, within 0.5
WIENER_EPSILON = 1e-4


def to_light(picture: Tensor) -> Tensor:
    """Convert a picture to light, by a gamma of `GAMMA`."""
    return picture.clamp(min=0) ** GAMMA


def to_picture(light: Tensor) -> Tensor:
    """Invert :func:`to_light`, for light of at least `MIN_LIGHT`."""
    return light.clamp(min=MIN_LIGHT) ** (1 / GAMMA)


class WienerStep(nn.Module):
    """Deconvolves the photo's light, and ``extra`` learned features of it, with the blur of each window.

    A natural picture's spectrum falls as 1/f², so the ratio of noise to signal grows as f². Its scale is learned for
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
        """Deconvolve ``photo``, B x 3 x H x W in [0, 1], with the blur of each of its windows (B x rows x columns).

        Args:
            photo: B x 3 x H x W in [0, 1].
            double: The windows' motion at twice its angle in pixels, B x rows x columns x 2.
            radius: Their defocus radius in pixels, B x rows x columns.
            noise: The logarithm of their noise, B x rows x columns.

        Returns:
            B x 2 (3 + extra) x H x W: for each variant the deconvolved photo, as a picture, and the features.
        """
        double, radius, noise = double.float(), radius.float(), noise.float()  # what follows is not for half precision
        light = to_light(photo.float())
        if self.features is not None:
            light = torch.cat([light, self.features(light.to(photo.dtype)).float()], 1)
        spectrum = torch.fft.rfft2(cut(light, self.side) * fading(self.side, light))
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
        """Blur a picture with the blur of each window: the photo that it would give as the scene."""
        return self.respond(picture, self.response(double, radius))

    def response(self, double: Tensor, radius: Tensor) -> Tensor:
        """Return the transfer function of each window's blur, for :meth:`respond`."""
        fy, fx = self.fy.float(), self.fx.float()
        return transfer(double.float(), radius.float(), fy, fx, smooth=False)[:, :, :, None]

    def respond(self, picture: Tensor, response: Tensor) -> Tensor:
        """Blur a picture as :meth:`blur` does, for several pictures under one blur."""
        # Faded after it: what wraps around at a window's edge does harm there alone.
        spectrum = torch.fft.rfft2(cut(to_light(picture.float()), self.side))
        windows = torch.fft.irfft2(spectrum * response, s=(self.side, self.side))
        return to_picture(blend(windows, *picture.shape[-2:]))
