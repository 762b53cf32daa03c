import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.deblur import detail
from models.deblur.detail import blend, mean_gradient


def picture(height: int = 80, width: int = 120, seed: int = 0) -> np.ndarray:
    """Smooth colour, edges and grain, away from black and white."""
    random = np.random.default_rng(seed)
    smooth = gaussian_filter(random.random((height, width, 3)), (12, 12, 0))
    edges = (np.mgrid[:height, :width].sum(0) // 14 % 2)[..., None] * 0.2
    grain = random.normal(0, 0.02, (height, width, 3))
    return np.clip(smooth + edges + grain, 0.1, 0.9).astype(np.float32)


def at(pre: np.ndarray, diffusion: np.ndarray, value: float) -> np.ndarray:
    result = diffusion.copy()
    blend(pre, result, value)
    return result


def softer(pre: np.ndarray) -> np.ndarray:
    return gaussian_filter(pre, (0.7, 0.7, 0))


def sharper(pre: np.ndarray) -> np.ndarray:
    return np.clip(pre + 0.8 * (pre - gaussian_filter(pre, (2, 2, 0))), 0, 1)


def other(pre: np.ndarray) -> np.ndarray:
    return np.clip(sharper(softer(pre)) + 0.05 + 0.02 * picture(seed=1), 0, 1)


def test_the_ends_are_the_two_pictures():
    pre = picture()
    end = sharper(pre)
    np.testing.assert_allclose(at(pre, end, 0.0), pre, atol=1e-6)
    assert np.array_equal(at(pre, end, 1.0), end)


@pytest.mark.parametrize("change", [softer, sharper, other])
def test_more_of_the_dial_is_never_less_sharp(change):
    pre = picture()
    end = change(pre)
    sharpness = [mean_gradient(at(pre, end, value)) for value in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)]
    assert all(after >= before * 0.9999 for before, after in zip(sharpness, sharpness[1:], strict=False))


def test_only_a_softer_end_is_held_and_the_share_is_told():
    pre = picture()
    assert blend(pre, sharper(pre), 1.0) == 0
    assert mean_gradient(softer(pre)) < mean_gradient(pre)
    assert 0 < blend(pre, softer(pre), 1.0) <= 1


def test_half_way_tones_are_nearer_the_faithful_end_and_detail_is_half_there():
    pre = np.full((96, 96, 3), 0.4, np.float32)
    fine = np.where(np.mgrid[:96, :96].sum(0) % 2, 0.1, -0.1)[..., None].astype(np.float32)
    half = at(pre, pre + 0.2 + fine, 0.5)
    assert half.mean() == pytest.approx(0.4 + 0.2 / 4, abs=2e-3)
    assert half.std() == pytest.approx(0.1 / 2, rel=0.05)


def test_bands_leave_no_seam(monkeypatch):
    pre, end = picture(), other(picture())
    expected = at(pre, end, 0.6)
    monkeypatch.setattr(detail, "BAND_ROWS", 13)
    np.testing.assert_allclose(at(pre, end, 0.6), expected, atol=2e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (20, 600)])
def test_any_size(size):
    pre = np.full((*size, 3), 0.5, np.float32)
    assert np.isfinite(at(pre, pre + 0.1, 0.5)).all()
