import pytest
import torch

from models.deblur.windows import blend, cut, grid_size, mirrored


@pytest.mark.parametrize("size", [(128, 128), (64, 96), (50, 33), (1, 70), (3, 1)])
def test_windows_blend_back_to_the_picture(size):
    picture = torch.rand(2, 3, *size)
    windows = cut(picture, 32)
    assert windows.shape == (2, grid_size(size[0], 32), grid_size(size[1], 32), 3, 32, 32)
    torch.testing.assert_close(blend(windows, *size), picture, atol=1e-5, rtol=0)


def test_windows_of_a_tile_are_those_of_the_whole_picture():
    picture = torch.rand(1, 1, 128, 160)
    whole, tile = cut(picture, 32), cut(picture[..., 32:96, 48:128], 32)
    assert torch.equal(whole[:, 3:6, 4:8], tile[:, 1:4, 1:5])  # those that lie inside the tile


def test_a_row_goes_on_mirrored_however_short_it_is():
    assert mirrored(4, 3, 5).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert mirrored(1, 2, 2).tolist() == [0, 0, 0, 0, 0]
