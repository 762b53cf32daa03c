"""A Wiener step in feature space, window by window, and its inverse, the blur itself.

Within a window the blur is taken for one (as in the efficient filter flow of Hirsch et al., CVPR 2010). Windows are
faded before they are deconvolved, and their results summed: what is cut hard at a window's edge rings all over it.
Features are deconvolved as the photo is, since a convolution of light commutes with blur (deep Wiener deconvolution,
Dong et al., NeurIPS 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.deblur.blur_field import transfer
from models.deblur.windows import blend, cut, fading, overlap_add

GAMMA = 2.2
FLOOR = 1e-4  # of light, below which the camera's curve is too steep to go back
VARIANTS = (True, False)  # the blur's Gaussian of the same size, and its line and disc
NOISE = (1.25, -0.75)  # of each: log of noise over signal at 1 cycle a pixel; best, within 0.5, for known blur
LEAST = 1e-4


def to_light(picture: Tensor) -> Tensor:
    return picture.clamp(min=0) ** GAMMA


def to_picture(light: Tensor) -> Tensor:
    return light.clamp(min=FLOOR) ** (1 / GAMMA)


class WienerStep(nn.Module):
    """Deconvolves the photo's light, and ``extra`` learned features of it, under a blur for each window.

    A natural picture's spectrum falls as 1/f², so the noise over the signal grows as f²: by how much is learned
    for each channel, and told for each window (``noise``, a logarithm to add).
    """

    def __init__(self, extra: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.fy: Tensor
        self.fx: Tensor
        self.features = nn.Conv2d(3, extra, 5, padding=2, padding_mode="replicate") if extra else None
        self.balance = nn.Parameter(torch.zeros(len(VARIANTS), 3 + extra))
        self.register_buffer("fy", torch.fft.fftfreq(side)[:, None], persistent=False)
        self.register_buffer("fx", torch.fft.rfftfreq(side), persistent=False)

    def forward(self, photo: Tensor, double: Tensor, radius: Tensor, noise: Tensor) -> Tensor:
        """``photo`` B x 3 x H x W in [0, 1]; for each of its windows (B x rows x columns) ``double`` (... x 2),
        ``radius`` in pixels and ``noise``. Returns B x 2 (3 + extra) x H x W: for each variant the deconvolved
        photo, as a picture, and the features."""
        double, radius, noise = double.float(), radius.float(), noise.float()  # what follows is not for half precision
        light = to_light(photo.float())
        if self.features is not None:
            light = torch.cat([light, self.features(light.to(photo.dtype)).float()], 1)
        spectrum = torch.fft.rfft2(cut(light, self.side) * fading(self.side, light))
        fy, fx = self.fy.float(), self.fx.float()
        square = fy**2 + fx**2
        results = []
        for variant, (smooth, noise_over_signal) in enumerate(zip(VARIANTS, NOISE, strict=True)):
            h = transfer(double, radius, fy, fx, smooth)[:, :, :, None]
            level = torch.exp(noise_over_signal + self.balance[variant].float() + noise[..., None])[..., None, None]
            ratio = h * (1 + LEAST) / (h**2 + LEAST + level * square)  # 1 at frequency 0: the mean stays
            windows = torch.fft.irfft2(spectrum * ratio, s=(self.side, self.side))
            whole = overlap_add(windows, *photo.shape[-2:])
            results += [to_picture(whole[:, :3]), whole[:, 3:]]
        return torch.cat(results, 1)

    def blur(self, picture: Tensor, double: Tensor, radius: Tensor) -> Tensor:
        """The picture under the blur of each window: what the photo should be if the picture is the scene."""
        return self.respond(picture, self.response(double, radius))

    def response(self, double: Tensor, radius: Tensor) -> Tensor:
        """The transfer function of each window's blur, for :meth:`respond`."""
        fy, fx = self.fy.float(), self.fx.float()
        return transfer(double.float(), radius.float(), fy, fx, smooth=False)[:, :, :, None]

    def respond(self, picture: Tensor, response: Tensor) -> Tensor:
        """As :meth:`blur`, for several pictures under one blur."""
        # Faded after it: what wraps around at a window's edge does harm there alone.
        spectrum = torch.fft.rfft2(cut(to_light(picture.float()), self.side))
        windows = torch.fft.irfft2(spectrum * response, s=(self.side, self.side))
        return to_picture(blend(windows, *picture.shape[-2:]))
