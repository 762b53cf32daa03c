"""The error of motion fields, against values known in advance."""

import math

import pytest
import torch

from models.deblur.blur_field import VARIANCE_FLOOR_PX2
from training.evaluation.motion_error import MotionError, covariance_error, motion_error


def field(*vectors: tuple[float, float]) -> torch.Tensor:
    """1 x 2 x 1 x N."""
    return torch.tensor(vectors).T[None, :, None]


def test_the_error_is_that_of_the_nearer_sign() -> None:
    error = motion_error(field((-3, -4), (0, 2), (1, 0)), field((3, 4), (0, 5), (0, 1)))
    assert error.error == pytest.approx((0 + 3 + math.sqrt(2)) / 3)
    assert error.zero == pytest.approx((5 + 5 + 1) / 3)
    assert error.share == pytest.approx(error.error / error.zero)


def test_predicting_zero_has_a_share_of_one_and_the_truth_of_none() -> None:
    true = torch.randn(2, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    assert motion_error(torch.zeros_like(true), true).share == pytest.approx(1)
    assert motion_error(-true, true).error == 0


def test_pixels_of_unknown_motion_are_left_out() -> None:
    true = field((3, 4), (math.nan, math.nan))
    assert motion_error(field((3, 3), (9, 9)), true) == MotionError(1.0, 5.0)
    with pytest.raises(ValueError, match="no true motion"):
        motion_error(true * 0, true * math.nan)


def test_where_nothing_moves_any_motion_is_infinitely_wrong() -> None:
    still = torch.zeros(1, 2, 3, 3)
    assert motion_error(still, still).share == 0
    assert motion_error(still + 1, still).share == math.inf


def test_wrong_fields_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\).*\(1, 2, 4, 5\)"):
        motion_error(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 5))
    with pytest.raises(ValueError, match="B x 2 x H x W"):
        motion_error(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="not finite"):
        motion_error(field((math.nan, 0)), field((1, 1)))


def test_a_spread_is_wrong_by_the_logarithm_of_its_covariance() -> None:
    motion, defocus = torch.tensor([12.0, 0.0])[None, :, None, None].expand(1, 2, 3, 3), torch.full((1, 1, 3, 3), 2.0)
    true = torch.diag(torch.tensor([13.0, 1.0]))[None]  # 144 / 12 along the motion, and 1 each way of the disc
    assert covariance_error(true, motion, defocus).item() == pytest.approx(0, abs=1e-5)
    wider = (math.e * (true + VARIANCE_FLOOR_PX2 * torch.eye(2)) - VARIANCE_FLOOR_PX2 * torch.eye(2)).expand(1, 2, 2)
    assert covariance_error(wider, motion, defocus).item() == pytest.approx(1 / 3, abs=1e-4)  # in one of three parts
