import numpy as np
import pytest

from models.deblur.draw import draw_blur


def drawn(double: tuple[float, float], radius: float = 0.0, size: tuple[int, int] = (160, 240)) -> np.ndarray:
    cells = np.empty((size[0] // 8, size[1] // 8, 3), np.float32)
    cells[...] = (*double, radius)
    return draw_blur(np.full((*size, 3), 0.5, np.float32), cells)


def colour(picture: np.ndarray) -> np.ndarray:
    """The mean colour of what is drawn in colour."""
    return picture[np.ptp(picture, axis=2) > 0.2].mean(0)


def test_lines_go_with_the_motion_and_have_its_colour():
    across, down = drawn((12.0, 0.0)), drawn((-12.0, 0.0))
    red, cyan = colour(across), colour(down)
    assert red[0] > red[1] + 0.2 and cyan[2] > cyan[0] + 0.2
    # Along the motion a row of ink goes on; across it, it ends.
    ink = np.ptp(across, axis=2) > 0.1
    assert ink.sum(1).max() > 4 * ink.sum(0).max() * across.shape[0] / across.shape[1]


def test_defocus_is_white_rings_and_no_blur_is_dots():
    rings, dots = drawn((0.0, 0.0), 8.0), drawn((0.0, 0.0))
    assert np.ptp(rings, axis=2).max() < 0.1
    assert (np.abs(rings - 0.7) > 0.1).mean() > 2 * (np.abs(dots - 0.7) > 0.1).mean() > 0


@pytest.mark.parametrize("size", [(1, 1), (20, 1500), (7, 9)])
def test_any_size_stays_in_range(size):
    cells = np.random.default_rng(0).normal(0, 9, (-(-size[0] // 8), -(-size[1] // 8), 3)).astype(np.float32)
    picture = draw_blur(np.random.default_rng(1).random((*size, 3), dtype=np.float32), cells)
    assert picture.shape == (*size, 3) and picture.dtype == np.float32
    assert picture.min() >= 0 and picture.max() <= 1


def test_the_kernel_stands_in_the_lower_left_corner():
    photo, cells = np.full((100, 150, 3), 0.5, np.float32), np.zeros((13, 19, 3), np.float32)
    kernel = np.zeros((5, 5), np.float32)
    kernel[2, 1:4] = 1 / 3
    plain, shown = draw_blur(photo, cells), draw_blur(photo, cells, kernel)
    inset = shown[80:, :20]
    assert (inset[8:12, 4:16] == 1).all() and (inset[:8] == 0).all() and (inset[12:] == 0).all()
    assert np.array_equal(shown[:80], plain[:80]) and np.array_equal(shown[:, 20:], plain[:, 20:])
    assert np.array_equal(draw_blur(photo[:3], cells[:1], kernel), draw_blur(photo[:3], cells[:1]))  # no room
