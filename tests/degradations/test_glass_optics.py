import math

import pytest
import torch

from degradations.glass_optics import (
    Panes,
    displacement,
    fresnel,
    normal_of,
    passed_and_reflected,
    reflected_grids,
)


def panes(yaw: float = 0.0, turned: float = 0.0, **other: float) -> Panes:
    """One pane of window glass; angles in degrees."""
    values = {"index": 1.5, "thickness": 0.005, "gap": 0.0, "coating": 1.0, "distance": 2.0} | other
    fields = {name: torch.tensor([value]) for name, value in values.items()}
    return Panes(
        normal=torch.tensor([normal_of(math.radians(yaw + turned), 0.0)]),
        reference=torch.tensor([normal_of(math.radians(yaw), 0.0)]),
        colour=torch.ones(1, 3),
        field_of_view=torch.tensor([math.radians(60)]),
        **fields,
    )


def test_fresnel_gives_the_textbook_values():
    cosine = torch.tensor([1.0, math.cos(math.radians(56.31)), math.cos(math.radians(89.99))])
    reflectance, inside = fresnel(cosine, torch.tensor(1.5))
    assert abs(float(reflectance[0]) - 0.04) < 1e-4  # ((n - 1) / (n + 1))^2
    assert abs(float(reflectance[1]) - 0.0740) < 1e-3  # at Brewster's angle only s is reflected: sin^2(i - t) / 2
    assert float(reflectance[2]) > 0.99
    assert abs(math.degrees(math.acos(float(inside[1]))) - 33.69) < 0.01


def test_clear_glass_loses_no_light():
    cosine = torch.linspace(0.3, 1, 8).reshape(1, 1, 8)
    passed, first, second = passed_and_reflected(cosine, panes())
    # The two images are the first two of an endless row of ever fainter ones.
    assert (passed + first + second <= 1 + 1e-6).all() and (passed + first + second > 0.97).all()
    assert (first[..., :-1] > first[..., 1:]).all()  # more is reflected the more slanting the ray
    double, _, _ = passed_and_reflected(cosine, panes(gap=0.012))
    torch.testing.assert_close(double, passed**2)


def test_the_ghost_is_displaced_by_thickness_and_angle():
    slanting = torch.tensor([[[math.cos(math.radians(45))]]])
    got = float(displacement(slanting, panes()))
    expected = 2 * 0.005 * 0.5 / math.sqrt(1.5**2 - 0.5) / 2.0
    assert got == pytest.approx(expected, rel=1e-5)
    assert float(displacement(slanting, panes(thickness=0.010))) == pytest.approx(2 * expected, rel=1e-5)
    assert float(displacement(torch.ones(1, 1, 1), panes())) == 0  # straight on the images coincide


def test_in_its_reference_pose_the_pane_shows_the_world_as_its_photo_does():
    _, grid, _ = reflected_grids(24, 32, panes(yaw=30))
    x = (torch.arange(32) + 0.5) / 16 - 1
    y = (torch.arange(24) + 0.5) / 12 - 1
    torch.testing.assert_close(grid[0, 5, :, 0], x, atol=1e-5, rtol=0)
    torch.testing.assert_close(grid[0, :, 7, 1], y, atol=1e-5, rtol=0)


@pytest.mark.parametrize("turned", [-6.0, 4.0])
def test_turning_the_pane_turns_the_reflection_by_twice_the_angle(turned):
    _, grid, _ = reflected_grids(33, 33, panes(yaw=20, turned=turned))
    seen = math.degrees(math.atan(float(grid[0, 16, 16, 0]) * math.tan(math.radians(30))))
    n0, n1 = panes(yaw=20).normal[0], panes(yaw=20, turned=turned).normal[0]
    v = torch.tensor([0.0, 0.0, 1.0])
    w = v - 2 * (v @ n1) * n1
    w = w - 2 * (w @ n0) * n0
    assert seen == pytest.approx(math.degrees(math.atan2(float(w[0]), float(w[2]))), abs=1e-3)
    assert abs(seen) == pytest.approx(2 * abs(turned), abs=1e-3)


def test_a_pane_turned_to_the_right_shows_what_lies_to_the_right():
    """Worked out by hand: a pane straight ahead shows the camera; with its normal turned 5 degrees towards +x, what is
    10 degrees to the right of the camera. A mirror image has right and left as the photo of it does, so +x."""
    normal_to_the_right = normal_of(math.radians(-5), 0.0)
    assert normal_to_the_right[0] > 0
    _, grid, _ = reflected_grids(33, 33, panes(yaw=0, turned=-5))
    reflected = torch.tensor([0.0, 0.0, 1.0])
    n = torch.tensor(normal_to_the_right)
    reflected = reflected - 2 * (reflected @ n) * n
    assert float(reflected[0]) > 0 > float(reflected[2])  # back past the camera, to its right
    assert float(grid[0, 16, 16, 0]) > 0


def test_the_second_image_lies_along_the_turn():
    _, first, second = reflected_grids(17, 17, panes(yaw=40, distance=0.5))
    moved = (second - first)[0, 8]  # in the row where the plane of incidence lies level
    assert moved[:, 1].abs().max() < 1e-5 and moved[:, 0].abs().min() > 1e-3
    _, first, other = reflected_grids(17, 17, panes(yaw=-40, distance=0.5))
    assert (moved[:, 0] * (other - first)[0, 8, :, 0] < 0).all()  # and turns with the pane


def test_rays_span_the_field_of_view():
    cosine, _, _ = reflected_grids(2, 1000, panes())  # a pane that faces the camera
    assert abs(math.degrees(math.acos(float(cosine[0, 0, -1]))) - 30) < 0.1
    torch.testing.assert_close(cosine, cosine.flip(1, 2))
