import copy

import pytest
import torch

from models.deblur.blur_field import double_angle, log_covariance, mean_covariance
from models.deblur.motion import CELL_PX, MotionEstimator, field_of, interpolate_nodes
from models.deblur.windows import grid_size


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
