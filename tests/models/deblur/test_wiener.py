import pytest
import torch

from models.deblur.wiener import WienerStep, blend, cut, grid_size, mirror_pad

SIDE = 128


def scene(height: int = 192, width: int = 160) -> torch.Tensor:
    """Coloured blocks with sharp edges."""
    blocks = torch.rand(1, 3, height // 16, width // 16, generator=torch.Generator().manual_seed(0))
    return 0.1 + 0.8 * blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)


def fields(picture: torch.Tensor, length: float, radius: float, noise: float = 0.0):
    """A horizontal motion and a defocus, the same everywhere."""
    size = (1, grid_size(picture.shape[-2], SIDE), grid_size(picture.shape[-1], SIDE))
    double = torch.zeros(*size, 2)
    double[..., 0] = length
    return double, torch.full(size, radius), torch.full(size, noise)


def error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean().sqrt())


@pytest.fixture(scope="module")
def step() -> WienerStep:
    return WienerStep(2, SIDE).requires_grad_(False)


def test_without_blur_the_photo_comes_back(step):
    photo = scene()
    double, radius, noise = fields(photo, 0.0, 0.0, noise=-20.0)  # as good as no noise
    result = step(photo, double, radius, noise)
    assert result.shape == (1, 2 * (3 + 2), 192, 160)
    for first in (0, 5):
        torch.testing.assert_close(result[:, first : first + 3], photo, atol=2e-3, rtol=0)
    torch.testing.assert_close(step.blur(photo, double, radius), photo, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("length", "radius"), [(9.0, 0.0), (0.0, 4.0), (8.0, 2.0)])
def test_a_known_blur_is_made_and_undone(step, length, radius):
    photo = scene()
    double, size, noise = fields(photo, length, radius)
    blurred = step.blur(photo, double, size)
    assert error(blurred, photo) > 0.05
    assert error(step(blurred, double, size, noise)[:, :3], photo) < error(blurred, photo)
    line_and_disc = step(blurred, double, size, noise - 1)[:, 5:8]  # the variant that is the blur itself
    assert error(line_and_disc, photo) < 0.87 * error(blurred, photo)
    assert error(step.blur(line_and_disc, double, size), blurred) < 0.01


def test_a_linear_blur_goes_along_its_direction_alone(step):
    rows = torch.linspace(0.2, 0.8, 128)[:, None].expand(128, 128).expand(1, 3, 128, 128)
    double, radius, _ = fields(rows, 12.0, 0.0)
    torch.testing.assert_close(step.blur(rows, double, radius), rows, atol=1e-3, rtol=0)
    assert error(step.blur(rows, -double, radius), rows) > 1e-3  # at twice the angle, minus is a right angle


def test_half_precision_is_near(step):
    photo = scene()
    double, radius, noise = fields(photo, 8.0, 1.0)
    half = WienerStep(2, SIDE).requires_grad_(False)
    half.load_state_dict(step.state_dict())
    result = half.to(torch.bfloat16)(photo.bfloat16(), double.bfloat16(), radius.bfloat16(), noise.bfloat16())
    assert error(result[:, :3].float(), step(photo, double, radius, noise)[:, :3]) < 0.02


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
    row = torch.arange(4.0)[None]
    assert mirror_pad(row, 3, 1, 12)[0].tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert mirror_pad(row[:, :1], 2, 3, 5).tolist() == [[0] * 5] * 3
