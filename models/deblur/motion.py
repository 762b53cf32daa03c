"""The motion estimator: the blur at each place of a photo, from spectra of its windows and from the picture.

Natural images have nearly the same spectrum, falling as 1/f²; a blur multiplies it by the square of its own transfer
function. Whitened, the autocorrelation of a window is therefore nearly that of its blur, and zeros of the transfer
function show as dark lines in the log spectrum and as negative peaks in the cepstrum (Cannon, IEEE TASSP 1976;
Goldstein and Fattal, ECCV 2012).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks import Pointwise, ResidualBlock, downsample, residuals, zero_conv
from models.deblur.blur_field import double_angle, from_log_covariance, log_covariance, mean_covariance
from models.deblur.wiener import cut

LENGTH_UNIT_PX, RADIUS_UNIT_PX = 10.0, 3.0  # pixels for an output of 1
CELL_PX = 8  # side of a cell, the resolution of the blur field
SPECTRAL_CHANNELS, LONG_RANGE_CHANNELS = 5, 3
MAP_SIDE = 32  # of the spectral maps, whatever the window's side
LUMA = (0.299, 0.587, 0.114)


def spectral_maps(windows: Tensor, long_range: bool = False) -> Tensor:
    """Compute maps that show the blur of windows, centred on the zero lag or frequency.

    Args:
        windows: N x 3 x side x side in [0, 1]; the side is a power of two, 64 or more.
        long_range: Add maps for blur longer than the lags of the others: the autocorrelation at every lag, the minimum
            of the cepstrum there (its peaks are thin), and the lowest frequencies at full resolution, where such a blur
            has its zeros.

    Returns:
        N x C x MAP_SIDE x MAP_SIDE, C = SPECTRAL_CHANNELS (+ LONG_RANGE_CHANNELS): autocorrelations of the window
        whitened once and twice, the cepstrum, the log spectrum, and the squared distance from the centre.
    """
    side = windows.shape[-1]
    weights = windows.new_tensor(LUMA)[:, None, None]
    hann = torch.hann_window(side, periodic=False, device=windows.device)
    taper = hann[:, None] * hann
    gray = (windows.float() * weights).sum(1)
    gray = (gray - (gray * taper).sum((1, 2), keepdim=True) / taper.sum()) * taper
    power = torch.fft.rfft2(gray).abs() ** 2
    fy, fx = torch.fft.fftfreq(side, device=windows.device)[:, None], torch.fft.rfftfreq(side, device=windows.device)
    f = torch.sqrt(fy**2 + fx**2)
    maps = []
    for whitening in (1.0, 2.0):  # the roll-off keeps noise and rounding out
        lags = _centre(torch.fft.irfft2(power * f**whitening * torch.exp(-((f / 0.35) ** 4)), s=(side, side)))
        maps.append(lags / lags.amax((1, 2), keepdim=True).clamp(min=1e-9))
    log = torch.log(power + 1e-3)
    cepstrum = 4 * torch.fft.irfft2(log, s=(side, side))
    maps.append(_centre(cepstrum))
    full = torch.cat([log, log[..., 1 : side // 2].flip((-1, -2)).roll(1, -2)], -1)
    maps.append(F.adaptive_avg_pool2d(_shifted(full, side // 2)[:, None], MAP_SIDE)[:, 0] / 4)
    line = torch.linspace(-1, 1, MAP_SIDE, device=windows.device)
    maps.append((line[:, None] ** 2 + line**2).expand_as(maps[0]))
    if long_range:
        lags = torch.fft.irfft2(power * f * torch.exp(-((f / 0.15) ** 4)), s=(side, side))
        lags = F.adaptive_avg_pool2d(_shifted(lags, side // 2)[:, None], MAP_SIDE)[:, 0]
        maps.append(lags / lags.amax((1, 2), keepdim=True).clamp(min=1e-9))
        maps.append(-F.adaptive_max_pool2d(-_shifted(cepstrum, side // 2)[:, None], MAP_SIDE)[:, 0])
        maps.append(_centre(full) / 4)
    return torch.stack(maps, 1)


def _shifted(maps: Tensor, by: int) -> Tensor:
    return maps.roll((by, by), (1, 2))


def _centre(maps: Tensor) -> Tensor:
    """Return the MAP_SIDE x MAP_SIDE around the zero lag, which is at the corner."""
    return _shifted(maps, MAP_SIDE // 2)[:, :MAP_SIDE, :MAP_SIDE]


def in_pixels(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Map a network's raw output to the motion at twice its angle (B x 2 x ...) and the radius (B x ...), in pixels."""
    return raw[:, :2] * LENGTH_UNIT_PX, F.softplus(raw[:, 2] - 2) * RADIUS_UNIT_PX


def in_units(field: Tensor) -> Tensor:
    """Scale motion at twice its angle and radius, B x 3 x H x W in pixels, to `LENGTH_UNIT_PX` and `RADIUS_UNIT_PX`."""
    return field * field.new_tensor([1 / LENGTH_UNIT_PX, 1 / LENGTH_UNIT_PX, 1 / RADIUS_UNIT_PX])[:, None, None]


class MotionEstimator(nn.Module):
    """Estimates the blur of each window and of each cell of 8 px of a photo.

    A window's blur is read from its spectrum, which depends little on what the photo shows, and refined by its
    neighbours; features of the picture then locate the borders between blurs.

    Args:
        side: Side of a window in pixels.
        widths: Channels of the spectrum encoder's three levels.
        code: Channels of a window's code.
        fine: Channels of the branch over cells.
        long_range_features: Read spectral maps for longer blur too.
        deep_encoder: Add layers, a second exchange with neighbours and :class:`PhotoCovariance`, identities at first.
    """

    def __init__(
        self,
        side: int,
        widths: tuple[int, int, int],
        code: int,
        fine: int,
        long_range_features: bool = False,
        deep_encoder: bool = False,
    ) -> None:
        super().__init__()
        self.side, self.long_range_features = side, long_range_features
        a, b, c = widths
        channels = SPECTRAL_CHANNELS + LONG_RANGE_CHANNELS * long_range_features
        self.read = nn.Sequential(
            nn.Conv2d(channels, a, 3, padding=1), *residuals(a, 1), downsample(a, b),
            *residuals(b, 1), downsample(b, c), *residuals(c, 1), downsample(c, c),
        )  # fmt: skip
        self.sum_up = nn.Linear(16 * c, code)
        self.ask = nn.Sequential(*residuals(code, 1, context=False))
        self.coarse = Pointwise(code, 4)
        self.look = nn.Conv2d(3 * CELL_PX**2, fine, 3, padding=1)
        self.told = Pointwise(code, fine)
        self.places = nn.Sequential(*residuals(fine, 2, context=False))
        self.fine = Pointwise(fine, 3)
        for last in (self.coarse, self.fine):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)
        self.more: nn.ModuleDict | None = None
        self.whole: PhotoCovariance | None = None
        if deep_encoder:
            self.more = nn.ModuleDict({"3": residuals(b, 1), "5": residuals(c, 2), "ask": residuals(code, 1, False)})
            for block in self.more.modules():
                if isinstance(block, ResidualBlock):
                    block.conv2 = zero_conv(block.conv2.in_channels, block.conv2.out_channels, 3)
            self.whole = PhotoCovariance(code)

    def _encode(self, photo: Tensor) -> Tensor:
        """Encode each window's spectrum, exchanged with its neighbours: B x code x rows x columns."""
        more = self.more if self.more is not None else nn.ModuleDict()
        windows = cut(photo, self.side)
        x = spectral_maps(windows.flatten(0, 2), self.long_range_features).to(photo.dtype)
        for place, layer in enumerate(self.read):
            x = layer(x)
            if str(place) in more:
                x = more[str(place)](x)
        code = self.ask(self.sum_up(x.flatten(1)).view(*windows.shape[:3], -1).permute(0, 3, 1, 2))
        return more["ask"](code) if "ask" in more else code

    def forward(self, photo: Tensor) -> dict[str, Tensor]:
        """Estimate the blur of a photo, B x 3 x H x W, sides multiples of 8.

        Returns:
            ``double`` (B x rows x columns x 2), ``radius`` and ``noise`` (B x rows x columns): motion at twice its
            angle and defocus in pixels, and logarithm of the noise ratio, of the windows. ``field``, B x 3 x H/8 x W/8:
            motion at twice its angle and radius in pixels, of the cells. ``covariance``, B x 2 x 2: mean covariance of
            the photo's blur (x, y) in px².
        """
        code = self._encode(photo)
        raw = self.coarse(code)
        double, radius = in_pixels(raw)
        double = double.permute(0, 2, 3, 1)
        covariance = mean_covariance(double, radius).detach()
        if self.whole is not None:
            covariance = self.whole(covariance, code)
        seen = self.look(F.pixel_unshuffle(photo * 2 - 1, CELL_PX))
        nodes = torch.cat([raw[:, :3], self.told(code)], 1)
        nodes = interpolate_nodes(nodes, self.side // 2 // CELL_PX, seen.shape[-2:])
        motion, defocus = in_pixels(nodes[:, :3] + self.fine(self.places(seen + nodes[:, 3:])))
        field = torch.cat([motion, defocus[:, None]], 1)
        return {"double": double, "radius": radius, "noise": raw[:, 3], "field": field, "covariance": covariance}


class PhotoCovariance(nn.Module):
    """Refines the mean covariance of a photo's blur by pooling all windows' codes: their errors are correlated."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.value, self.weight = Pointwise(code, code), Pointwise(code, 1)
        self.join, self.change = nn.Linear(2 * code, code), nn.Linear(code, 3)
        for parameter in self.change.parameters():
            nn.init.zeros_(parameter)

    def forward(self, covariance: Tensor, code: Tensor) -> Tensor:
        """Refine ``covariance``, B x 2 x 2, the mean over windows, by ``code``, B x C x rows x columns."""
        value, weight = F.silu(self.value(code)).flatten(2), self.weight(code).flatten(2).softmax(-1)
        joint = torch.cat([value.mean(-1), (value * weight).sum(-1)], 1)
        change = self.change(F.silu(self.join(joint)))
        return from_log_covariance(log_covariance(covariance) + change.float())


def interpolate_nodes(nodes: Tensor, step: int, size: tuple[int, ...]) -> Tensor:
    """Interpolate B x C x rows x columns at multiples of ``step`` cells bilinearly to B x C x height x width cells."""
    height, width = size[-2:]
    wide = ((nodes.shape[-2] - 1) * step + 1, (nodes.shape[-1] - 1) * step + 1)
    fine = F.interpolate(nodes, wide, mode="bilinear", align_corners=True)
    # A node lies on a corner between cells: their centres are half a cell further.
    middle = (fine[..., :-1, :-1] + fine[..., 1:, 1:] + fine[..., 1:, :-1] + fine[..., :-1, 1:]) / 4
    return middle[..., :height, :width]


def field_of(motion: Tensor, defocus: Tensor) -> Tensor:
    """Pool a simulator's motion (B x 2 x H x W) and defocus (B x 1 x H x W), in pixels, to cells, B x 3 x H/8 x W/8."""
    return F.avg_pool2d(torch.cat([double_angle(motion), defocus], 1), CELL_PX)
