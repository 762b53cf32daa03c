"""A Wiener step in feature space, window by window, and its inverse, the blur itself.

Within a window the blur is taken for one (as in the efficient filter flow of Hirsch et al., CVPR 2010); windows
fade into each other. Features are deconvolved as the photo is, since a convolution of light commutes with blur
(deep Wiener deconvolution, Dong et al., NeurIPS 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.deblur.blur_field import transfer
from models.deblur.windows import blend, cut

GAMMA = 2.2
FLOOR = 1e-4  # of light, below which the camera's curve is too steep to go back
VARIANTS = (True, False)  # the blur's Gaussian of the same size, and its line and disc
LEAST = 1e-4
START = 0.5  # log of noise over signal at 1 cycle a pixel; for known blur of 9 to 18 px the best was near it


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
        self.balance = nn.Parameter(torch.full((len(VARIANTS), 3 + extra), START))
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
        spectrum = self._spectrum(light)
        fy, fx = self.fy.float(), self.fx.float()
        square = fy**2 + fx**2
        results = []
        for variant, smooth in enumerate(VARIANTS):
            h = transfer(double, radius, fy, fx, smooth)[:, :, :, None]
            level = torch.exp(self.balance[variant].float() + noise[..., None])[..., None, None]
            ratio = h * (1 + LEAST) / (h**2 + LEAST + level * square)  # 1 at frequency 0: the mean stays
            whole = self._whole(spectrum * ratio, photo.shape[-2:])
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
        spectrum = self._spectrum(to_light(picture.float()))
        return to_picture(self._whole(spectrum * response, picture.shape[-2:]))

    def _spectrum(self, x: Tensor) -> Tensor:
        # What wraps around at a window's edge does harm there alone, where the window has faded out.
        return torch.fft.rfft2(cut(x.float(), self.side))

    def _whole(self, spectrum: Tensor, size: tuple[int, ...]) -> Tensor:
        return blend(torch.fft.irfft2(spectrum, s=(self.side, self.side)), *size[-2:])
