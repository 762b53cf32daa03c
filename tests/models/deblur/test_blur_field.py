import math

import numpy as np
import pytest
import torch
from scipy.special import j1

from models.deblur.blur_field import (
    VARIANCE_FLOOR_PX2,
    double_angle,
    from_log_covariance,
    jinc,
    log_covariance,
    mean_covariance,
    to_vector,
    transfer,
)


def test_a_vector_and_its_opposite_are_one_blur_in_one_half_plane():
    motion = torch.randn(2, 2, 5, 7) * 9
    double = double_angle(motion)
    torch.testing.assert_close(double_angle(-motion), double)
    torch.testing.assert_close(double.norm(dim=1), motion.norm(dim=1))
    back = to_vector(double)
    same = torch.where(motion[:, :1] < 0, -motion, motion)
    torch.testing.assert_close(back, same, atol=1e-4, rtol=1e-4)
    assert (back[:, 0] >= 0).all()


def test_jinc_is_that_of_the_bessel_function():
    at = torch.linspace(1e-3, 60, 4000)
    torch.testing.assert_close(jinc(at), torch.from_numpy(2 * j1(at.numpy()) / at.numpy()).float(), atol=2e-6, rtol=0)
    assert jinc(torch.zeros(1)).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("length", "radius"), [(12.0, 0.0), (0.0, 4.0), (9.0, 3.0)])
def test_second_moments_are_those_of_a_line_and_a_disc(smooth, length, radius):
    """The transfer function falls by 2 pi^2 f^2 times the second moment: length^2 / 12 along, radius^2 / 4 each way."""
    angle, f = math.radians(30), torch.tensor([1e-3])
    double = torch.tensor([length * math.cos(2 * angle), length * math.sin(2 * angle)])
    for direction, moment in ((angle, length**2 / 12 + radius**2 / 4), (angle + math.pi / 2, radius**2 / 4)):
        at = transfer(double, torch.tensor(radius), f[:, None] * math.sin(direction), f * math.cos(direction), smooth)
        found = -math.log(at.double().item()) / (2 * math.pi**2 * f.item() ** 2)
        assert found == pytest.approx(moment, abs=0.1)  # of float32, at so low a frequency


def blurred_dot(double: tuple[float, float], radius: float, side: int = 64) -> np.ndarray:
    fy, fx = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)
    h = transfer(torch.tensor(double), torch.tensor(radius), fy, fx, smooth=False)
    return torch.fft.fftshift(torch.fft.irfft2(h, s=(side, side))).numpy()


def moments(kernel: np.ndarray) -> tuple[float, float, float]:
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - kernel.shape[0] // 2
    return (kernel * x * x).sum(), (kernel * y * y).sum(), (kernel * x * y).sum()


def test_a_dot_becomes_the_line_and_the_disc():
    line = blurred_dot((11.0, 0.0), 0.0)  # horizontal
    drawn = np.zeros((64, 64))
    drawn[32, 27:38] = 1 / 11
    assert line.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(line - drawn).max() < 0.02 and line[32, 27:38].sum() > 0.95
    slanted = blurred_dot((0.0, 11.0), 0.0)  # twice 45 degrees: down to the right
    assert slanted[30, 30] > 0.03 and slanted[34, 34] > 0.03 and abs(slanted[34, 30]) < 0.01
    y, x = np.mgrid[:64, :64] - 32
    disc = (x**2 + y**2 <= 36) / (np.pi * 36)
    assert np.abs(blurred_dot((0.0, 0.0), 6.0) - disc).mean() < 2e-4


def test_the_transfer_function_has_a_gradient_where_there_is_no_blur():
    double, radius = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, requires_grad=True)
    for smooth in (True, False):
        transfer(double, radius, torch.fft.fftfreq(16)[:, None], torch.fft.rfftfreq(16), smooth).sum().backward()
        assert double.grad is not None and radius.grad is not None
        assert double.grad.isfinite().all() and radius.grad.isfinite().all()


def test_the_covariance_is_that_of_lines_and_discs():
    double = torch.tensor([[[[12.0, 0.0]]]])  # 12 px along x
    expected = torch.tensor([[[144 / 12 + 1.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(mean_covariance(double, torch.full((1, 1, 1), 2.0)), expected)
    diagonal = mean_covariance(torch.tensor([[[[0.0, 12.0]]]]), torch.zeros(1, 1, 1))
    torch.testing.assert_close(diagonal, torch.full((1, 2, 2), 6.0), atol=1e-4, rtol=0)


def test_a_covariance_comes_back_from_its_logarithm():
    covariance = torch.tensor([[[4.0, 1.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]], [[100.0, -5.0], [-5.0, 0.5]]])
    log = log_covariance(covariance)
    torch.testing.assert_close(from_log_covariance(log), covariance, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(log[1], torch.tensor([math.log(VARIANCE_FLOOR_PX2), 0.0, 0.0]), atol=1e-4, rtol=0)
    whole = torch.linalg.eigvalsh(covariance[0]) + VARIANCE_FLOOR_PX2
    assert float(log[0, 0]) == pytest.approx(float(whole.log().mean()), abs=1e-4)
    assert from_log_covariance(torch.full((1, 3), 99.0)).isfinite().all()
