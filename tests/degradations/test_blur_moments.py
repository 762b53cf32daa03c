"""What the simulator says of a blur against what the blur does to a dot."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from degradations.blur import FAMILIES, Blur, blur_light, motion_and_defocus, simulate_blur
from tests.degradations.blurs import SIZE, alone, draw

PLACES = [(48, 64), (30, 34), (34, 96), (70, 34), (66, 92)]
NEAR = 12  # px around a dot in which its blur is to be even, to be measured at one place
PIXEL = 1 / 6 + 0.04  # px^2: what sharing between neighbouring pixels adds to a variance, and a rounding


def spread_dots(blur: Blur) -> tuple[Tensor, Tensor]:
    """A dot at each of `PLACES`, a picture each, blurred (P x H x W), with the true covariance, 3 x H x W."""
    dots = torch.zeros(len(PLACES), 3, *SIZE)
    for dot, (row, column) in zip(dots, PLACES, strict=True):
        dot[:, row, column] = 1
    spread, covariance = blur_light(dots, [blur] * len(PLACES))
    return spread[:, 0], covariance[0]


def moments(spread: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (x, y) and covariance (of x, of x and y, of y) of the light of an H x W picture, in pixels."""
    y, x = torch.meshgrid(*(torch.arange(n).double() for n in spread.shape), indexing="ij")
    share = spread.double() / spread.double().sum()
    mean = torch.stack([(share * x).sum(), (share * y).sum()])
    x, y = x - mean[0], y - mean[1]
    return mean, torch.stack([(share * x * x).sum(), (share * x * y).sum(), (share * y * y).sum()])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dot_spreads_as_the_motion_and_the_defocus_say(family, tmp_path):
    measured = 0
    for blur in draw(alone(family, tmp_path), 10, seed=3):
        spread, covariance = spread_dots(blur)
        pixel = PIXEL * len(blur.passes)
        for dot, (row, column) in zip(spread, PLACES, strict=True):
            around = covariance[:, row - NEAR : row + NEAR + 1, column - NEAR : column + NEAR + 1]
            true = covariance[:, row, column]
            size = float(true[0] + true[2])
            if float((around.amax((1, 2)) - around.amin((1, 2))).max()) > 0.25 * size + 0.1:
                continue  # at an edge between layers a dot meets both blurs
            measured += 1
            mean, seen = moments(dot)
            assert (seen - true).abs().max() < pixel + 0.08 * size
            assert (mean - torch.tensor([column, row])).abs().max() < 0.5 + 0.05 * math.sqrt(size)
            # And so do the vector and the radius: together they are the same three numbers.
            (motion, defocus), (m, d) = (motion_and_defocus(c.float()[None, :, None, None]) for c in (true, seen))
            assert float((d**2 - defocus**2).abs()) < 4 * (2 * pixel + 0.1 * size)
            along = motion.flatten().double(), m.flatten().double()
            tensors = [torch.outer(v, v) / 12 for v in along]
            assert (tensors[0] - tensors[1]).abs().max() < 2 * pixel + 0.12 * size
    assert measured >= 20


def test_linear_motion_is_a_line_of_its_length_and_direction():
    for blur in draw(alone("linear", motion=(0.18, 0.18), noise=0), 6):
        spread, _ = spread_dots(blur)
        shown = simulate_blur(torch.rand(1, 3, *SIZE), [blur])
        motion = shown["motion"][0, :, 48, 64]
        length = 0.18 * SIZE[0]
        assert float(motion.norm()) == pytest.approx(length, rel=0.02)
        assert float(shown["defocus"].max()) < 0.05
        lit = (spread[0] > 0.2 * spread[0].max()).nonzero().float()
        assert float((lit[:, None] - lit[None]).norm(dim=-1).max()) == pytest.approx(length, abs=2.0)
        end = lit[(lit - torch.tensor(PLACES[0])).norm(dim=-1).argmax()] - torch.tensor(PLACES[0])
        cosine = float((end[1] * motion[0] + end[0] * motion[1]) / end.norm() / motion.norm())
        assert abs(cosine) > 0.99
        # No gaps: along the line no pixel is much darker than the others.
        ratio = (torch.arange(-0.4, 0.41, 0.05)[:, None] * motion.flip(0)).round().long() + torch.tensor(PLACES[0])
        assert float(spread[0][ratio[:, 0], ratio[:, 1]].min() / spread[0].max()) > 0.3


@pytest.mark.parametrize("family", ["disc", "polygon", "gaussian"])
def test_defocus_has_no_motion(family):
    for blur in draw(alone(family, layers=0), 10):
        _, covariance = spread_dots(blur)
        motion, defocus = motion_and_defocus(covariance[None])
        assert float(motion.norm(dim=1).max()) < 0.2 + 0.05 * float(defocus.min())


def test_the_radius_of_a_disc_is_the_radius_drawn():
    blur = draw(alone("disc", defocus=(0.08, 0.08), layers=0), 1)[0]
    _, defocus = motion_and_defocus(spread_dots(blur)[1][None])
    assert float(defocus.mean()) == pytest.approx(0.08 * SIZE[0], rel=0.04)


def test_rotation_moves_across_the_radius_and_zoom_along_it():
    for family, along in (("rotation", False), ("zoom", True)):
        blur = draw(alone(family, sweep=(0.2, 0.2)), 1)[0]
        motion, _ = motion_and_defocus(spread_dots(blur)[1][None])
        length = motion[0].norm(dim=0)
        assert 0.8 * 0.2 * SIZE[0] < float(length.max()) < 1.1 * 0.2 * SIZE[0]
        centre = (length == length.min()).nonzero()[0].float()
        for row, column in ((5, 5), (90, 120), (8, 110)):
            radius = torch.tensor([column - centre[1], row - centre[0]])
            cosine = abs(float(radius @ motion[0, :, row, column])) / float(radius.norm() * length[row, column])
            assert cosine > 0.97 if along else cosine < 0.25


def test_the_blur_of_a_shaken_camera_differs_over_the_picture():
    differs = []
    for blur in draw(alone("shake", motion=(0.1, 0.1)), 8):
        motion, _ = motion_and_defocus(spread_dots(blur)[1][None])
        length = motion[0].norm(dim=0)
        assert 0.7 * 0.1 * SIZE[0] < float(length.max()) < 1.15 * 0.1 * SIZE[0]
        differs.append(float((length.max() - length.min()) / length.max()))
    assert max(differs) > 0.3


def test_covariances_of_passes_add_up():
    for blur in draw(alone("composed"), 6):
        total = spread_dots(blur)[1]
        parts = [blur_light(torch.zeros(1, 3, *SIZE), [_only(blur, step)])[1][0] for step in range(len(blur.passes))]
        torch.testing.assert_close(total, sum(parts), atol=1e-4, rtol=1e-4)


def _only(blur: Blur, step: int) -> Blur:
    return dataclasses.replace(blur, passes=blur.passes[step : step + 1])


def test_the_sign_of_a_motion_is_always_the_same():
    angles = torch.linspace(-math.pi, math.pi, 33)
    x, y = 6 * torch.cos(angles), 6 * torch.sin(angles)
    line = torch.stack([x * x, x * y, y * y]) / 12
    motion, defocus = motion_and_defocus(line[None, :, None])
    dx, dy = motion[0, :, 0]
    assert (dx >= 0).all() and (dy[dx < 1e-3] >= 0).all()
    torch.testing.assert_close(motion[0].norm(dim=0)[0], torch.full((33,), 6.0), atol=1e-3, rtol=0)
    assert ((dx * x + dy * y).abs() > 0.999 * 36).all() and float(defocus.max()) < 0.01
    assert float(motion_and_defocus(torch.zeros(1, 3, 2, 2))[0].abs().max()) == 0
