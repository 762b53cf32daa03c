import torch
import torch.nn.functional as F

from models.deblur.spectra import LONG_RANGE_CHANNELS, MAP_SIDE, SPECTRAL_CHANNELS, spectral_maps


def noisy_scene(seed: int = 0, side: int = 128) -> torch.Tensor:
    """1 x 3 x side x side with the spectrum of natural pictures, 1/f^2 in power."""
    white = torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))
    f = torch.sqrt(torch.fft.fftfreq(side)[:, None] ** 2 + torch.fft.rfftfreq(side) ** 2).clamp(min=1 / side)
    scene = torch.fft.irfft2(torch.fft.rfft2(white) / f, s=(side, side))
    return (scene / scene.std() * 0.15 + 0.5).clamp(0, 1)[None]


def test_maps_have_their_shape_and_are_finite_even_for_a_flat_window():
    for windows in (torch.rand(3, 3, 64, 64), torch.full((2, 3, 128, 128), 0.5)):
        maps = spectral_maps(windows)
        assert maps.shape == (len(windows), SPECTRAL_CHANNELS, MAP_SIDE, MAP_SIDE) and maps.isfinite().all()
        more = spectral_maps(windows, long_range=True)
        channels = SPECTRAL_CHANNELS + LONG_RANGE_CHANNELS
        assert more.shape == (len(windows), channels, MAP_SIDE, MAP_SIDE) and more.isfinite().all()
        assert torch.equal(more[:, :SPECTRAL_CHANNELS], maps)


def test_a_linear_blur_shows_its_direction():
    """The whitened autocorrelation stays high along the motion, and falls across it."""
    length, middle = 15, MAP_SIDE // 2
    line = torch.full((3, 1, 1, length), 1 / length)
    for turned in (False, True):
        scene = noisy_scene()
        blurred = F.conv2d(F.pad(scene, (7, 7, 0, 0), mode="reflect"), line, groups=3)
        lags = spectral_maps(blurred.transpose(2, 3) if turned else blurred)[0, 0]
        lags = lags.T if turned else lags
        along, across = lags[middle, middle + 3 : middle + 9].mean(), lags[middle + 3 : middle + 9, middle].mean()
        assert along > across + 0.1
    plain = spectral_maps(noisy_scene())[0, 0]
    assert abs(plain[middle, middle + 3 : middle + 9].mean() - plain[middle + 3 : middle + 9, middle].mean()) < 0.1


def test_blur_longer_than_the_near_lags_shows_in_the_far_ones():
    """A line of 41 px has its negative peak in the cepstrum at that lag: block 10 or 11 of 4 px from the middle."""
    length, middle = 41, MAP_SIDE // 2
    line = torch.full((3, 1, 1, length), 1 / length)
    found = 0
    for seed in range(5):
        scene = noisy_scene(seed, 128 + length - 1)
        blurred = F.conv2d(scene, line, groups=3)[..., :128, :]
        far = spectral_maps(blurred, long_range=True)[0, SPECTRAL_CHANNELS + 1]
        found += int(far[middle, middle + 4 : middle + 15].argmin()) + 4 in (10, 11)
    assert found >= 4
