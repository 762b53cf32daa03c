"""What the spectrum of a blurred window tells of its blur.

Natural pictures have nearly the same spectrum, falling as 1/f²; a blur multiplies it by its own transfer function's
square. Whitened, the autocorrelation of a window is therefore nearly that of its blur, and zeros of the transfer
function show as dark lines in the logarithm of the spectrum and as negative peaks in its transform, the cepstrum
(Cannon, IEEE TASSP 1976; Goldstein and Fattal, ECCV 2012).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SPECTRAL_CHANNELS, LONG_RANGE_CHANNELS = 5, 3
MAP_SIDE = 32  # of the maps below, whatever the window's side
LUMA = (0.299, 0.587, 0.114)


def spectral_maps(windows: Tensor, long_range: bool = False) -> Tensor:
    """Compute maps that show the blur of windows, N x 3 x side x side in [0, 1].

    The maps, N x SPECTRAL_CHANNELS x MAP_SIDE x MAP_SIDE, are centred on the zero lag or frequency: autocorrelations of
    the window whitened once and twice, the cepstrum, the log spectrum, and the squared distance from the centre.
    ``side`` is a power of two, 64 or more.

    ``long_range`` adds LONG_RANGE_CHANNELS maps for blur longer than the lags above reach: the autocorrelation at every
    lag, the minimum of the cepstrum there (its peaks are thin), and the lowest frequencies at full resolution, where
    such a blur has its zeros.
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
    maps.append(F.adaptive_avg_pool2d(_middle(full)[:, None], MAP_SIDE)[:, 0] / 4)
    line = torch.linspace(-1, 1, MAP_SIDE, device=windows.device)
    maps.append((line[:, None] ** 2 + line**2).expand_as(maps[0]))
    if long_range:
        lags = torch.fft.irfft2(power * f * torch.exp(-((f / 0.15) ** 4)), s=(side, side))
        lags = F.adaptive_avg_pool2d(_middle(lags)[:, None], MAP_SIDE)[:, 0]
        maps.append(lags / lags.amax((1, 2), keepdim=True).clamp(min=1e-9))
        maps.append(-F.adaptive_max_pool2d(-_middle(cepstrum)[:, None], MAP_SIDE)[:, 0])
        maps.append(_centre(full) / 4)
    return torch.stack(maps, 1)


def _middle(lags: Tensor) -> Tensor:
    """The zero lag, at the corner, in the middle."""
    half = lags.shape[-1] // 2
    return lags.roll((half, half), (1, 2))


def _centre(lags: Tensor) -> Tensor:
    """The MAP_SIDE x MAP_SIDE middle of maps whose zero lag is at the corner."""
    half = MAP_SIDE // 2
    return lags.roll((half, half), (1, 2))[:, :MAP_SIDE, :MAP_SIDE]
