import copy

import pytest
import torch
import torch.nn.functional as F

from models.deblur.blur_field import double_angle, log_covariance, mean_covariance
from models.deblur.motion import (
    CELL_PX,
    LONG_RANGE_CHANNELS,
    MAP_SIDE,
    SPECTRAL_CHANNELS,
    MotionEstimator,
    field_of,
    interpolate_nodes,
    spectral_maps,
)
from models.deblur.wiener import grid_size


@pytest.fixture(scope="module")
def estimator() -> MotionEstimator:
    torch.manual_seed(0)
    estimator = MotionEstimator(128, (4, 4, 4), 8, 8, long_range_features=True, deep_encoder=True)
    estimator.eval().requires_grad_(False)
    for last in (estimator.coarse, estimator.fine):
        torch.nn.init.normal_(last.weight, std=0.3)
    return estimator


@pytest.mark.parametrize("size", [(8, 8), (64, 200), (136, 128)])
def test_each_window_and_each_cell_has_a_blur(estimator, size):
    found = estimator(torch.rand(2, 3, *size))
    grid = (2, grid_size(size[0], 128), grid_size(size[1], 128))
    assert found["double"].shape == (*grid, 2)
    assert found["radius"].shape == found["noise"].shape == grid
    assert found["field"].shape == (2, 3, size[0] // CELL_PX, size[1] // CELL_PX)
    assert (found["radius"] > 0).all() and (found["field"][:, 2] > 0).all()
    assert found["covariance"].shape == (2, 2, 2) and (torch.linalg.eigvalsh(found["covariance"]) > -1e-4).all()


def test_the_covariance_is_that_of_the_windows_until_all_are_asked_together(estimator):
    photo = torch.rand(2, 3, 128, 192)
    found = estimator(photo)
    expected = mean_covariance(found["double"], found["radius"])
    torch.testing.assert_close(found["covariance"], expected, atol=1e-3, rtol=1e-3)
    taught = copy.deepcopy(estimator)
    taught.whole.change.bias.data[0] = 1.0
    wider = taught(photo)
    assert torch.equal(wider["double"], found["double"]) and torch.equal(wider["field"], found["field"])
    expected = log_covariance(found["covariance"]) + torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(log_covariance(wider["covariance"]), expected, atol=1e-2, rtol=1e-2)


def test_before_training_there_is_no_motion_and_little_defocus():
    found = MotionEstimator(128, (4, 4, 4), 8, 8)(torch.rand(1, 3, 128, 128))
    assert not found["double"].any() and not found["field"][:, :2].any()
    assert found["radius"].max() < 0.5


def test_away_from_its_edge_a_tile_finds_what_the_whole_photo_finds(estimator):
    photo = torch.rand(1, 3, 128, 768)
    whole, tile = estimator(photo)["field"], estimator(photo[..., 64:])["field"]
    # A window that is cut asks four neighbours each way, and its own reaches half a window further.
    torch.testing.assert_close(tile[..., 40:], whole[..., 48:], atol=1e-4, rtol=1e-4)


def test_nodes_are_spread_bilinearly_to_the_centres_of_cells():
    nodes = torch.tensor([0.0, 8.0, 16.0]).expand(1, 1, 3, 3)
    cells = interpolate_nodes(nodes, 4, (6, 7))
    assert cells.shape == (1, 1, 6, 7)
    torch.testing.assert_close(cells[0, 0, 2], torch.arange(7) * 2.0 + 1)


def test_a_simulators_field_keeps_lengths_where_it_is_even():
    motion = torch.tensor([3.0, -4.0])[:, None, None].expand(1, 2, 16, 24)
    field = field_of(motion, torch.full((1, 1, 16, 24), 2.0))
    torch.testing.assert_close(field[:, :2], double_angle(motion)[..., ::8, ::8])
    torch.testing.assert_close(field[:, :2].norm(dim=1), torch.full((1, 2, 3), 5.0))
    assert (field[:, 2] == 2).all()


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
