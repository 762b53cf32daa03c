from __future__ import annotations

import pytest
import torch

from models.deblur.blind import KERNEL_PX, response_of
from models.deblur.guard import GUARD_CELL_PX, Guard, Tally, cell_rms, noise_level
from models.deblur.wiener import WienerStep, grid_size

PRE, OUT = "pre-reconstruction", "diffusion output"


@pytest.fixture(scope="module")
def wiener() -> WienerStep:
    return WienerStep(0, 128).requires_grad_(False)


def scene(height: int = 256, width: int = 384) -> torch.Tensor:
    blocks = torch.rand(1, 3, height // 16, width // 16, generator=torch.Generator().manual_seed(0))
    return 0.1 + 0.8 * blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)


def blur_of(picture: torch.Tensor, length: float = 9.0) -> dict[str, torch.Tensor]:
    size = (1, grid_size(picture.shape[-2], 128), grid_size(picture.shape[-1], 128))
    double = torch.zeros(*size, 2)
    double[..., 0] = length
    return {"double": double, "radius": torch.zeros(size), "noise": torch.zeros(size)}


@pytest.fixture
def case(wiener):
    """A scene, its photo (blurred, a little noise), a fair restoration, a guard of them and its tally."""
    sharp = scene()
    blur = blur_of(sharp)
    photo = wiener.blur(sharp, blur["double"], blur["radius"])
    photo = (photo + 0.01 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    fair = 0.5 * photo + 0.5 * sharp
    tally = Tally()
    return sharp, photo, fair, Guard(wiener, photo, blur, tally), tally


def test_what_is_right_passes_untouched_and_says_nothing(case):
    sharp, _, fair, guard, tally = case
    assert torch.equal(guard.admit(PRE, fair), fair)
    assert torch.equal(guard.admit(OUT, sharp), sharp)
    assert tally.cells == 4 * 6 and tally.notes() == [] and tally.record() == {}


def mosaic(picture: torch.Tensor) -> torch.Tensor:
    noise = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2)) - 0.5
    return picture + 0.6 * noise.repeat_interleave(8, 2).repeat_interleave(8, 3)


def black(picture: torch.Tensor) -> torch.Tensor:
    return picture * 0


def brighter(picture: torch.Tensor) -> torch.Tensor:
    return picture + 0.12


def unfounded(picture: torch.Tensor) -> torch.Tensor:
    """Stripes across the motion would have been smeared away; these, along it, would be in the photo."""
    return picture + 0.1 * torch.sin(torch.arange(GUARD_CELL_PX) * 0.7)[:, None]


def nothing(picture: torch.Tensor) -> torch.Tensor:
    return picture * float("nan")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [(nothing, "finite"), (black, "departure"), (mosaic, "reblur"), (brighter, "reblur"), (unfounded, "reblur")],
)
def test_a_bad_place_falls_back_to_the_pre_reconstruction_and_is_told(case, spoil, fault):
    sharp, _, fair, guard, tally = case
    bad = sharp.clone()
    place = (..., slice(GUARD_CELL_PX, 2 * GUARD_CELL_PX), slice(GUARD_CELL_PX, 2 * GUARD_CELL_PX))
    bad[place] = spoil(bad[place])
    guard.admit(PRE, fair)
    result = guard.admit(OUT, bad)
    assert torch.equal(result[place], fair[place])
    assert torch.equal(result[..., 4 * GUARD_CELL_PX :], sharp[..., 4 * GUARD_CELL_PX :])  # far away nothing is lost
    assert tally.failed[OUT, fault] >= 1 and tally.failed[PRE, fault] == 0
    [note] = tally.notes()
    assert note.startswith("In ") and "the diffusion output was left out for the pre-reconstruction" in note
    assert tally.record()[f"{OUT}: {fault}"] == tally.failed[OUT, fault] / 24


def test_detail_across_the_motion_is_not_against_the_photo(case):
    """What the blur smeared away may come back: that is what the diffusion step is for."""
    sharp, _, fair, guard, tally = case
    guard.admit(PRE, fair)
    detailed = (sharp + 0.1 * torch.sin(torch.arange(384) * 2 * torch.pi / 4.5)).clamp(0, 1)
    guard.admit(OUT, detailed)
    assert tally.notes() == []


@pytest.mark.parametrize("spoil", [nothing, black, brighter])
def test_where_both_are_bad_the_photo_stands(case, spoil):
    sharp, photo, _, guard, tally = case
    assert torch.equal(guard.admit(PRE, spoil(sharp)), photo)
    assert torch.equal(guard.admit(OUT, spoil(sharp)), photo)
    assert len(tally.notes()) == 2 and "pre-reconstruction was left out for the photo" in tally.notes()[1]


def test_a_blur_that_is_no_number_leaves_the_photo(case, wiener):
    sharp, photo, fair, _, _ = case
    blur = blur_of(photo)
    blur["double"] = blur["double"] * float("nan")
    guard = Guard(wiener, photo, blur, Tally())
    assert torch.equal(guard.admit(PRE, fair), photo) and torch.equal(guard.admit(OUT, sharp), photo)


def test_a_kernel_is_enough_where_the_blur_found_window_by_window_is_wrong(wiener):
    sharp = scene()
    kernel = torch.zeros(1, KERNEL_PX, KERNEL_PX)
    middle = KERNEL_PX // 2
    kernel[0, middle - 8 : middle + 9, middle] = 1 / 17
    photo = wiener.respond(sharp, response_of(kernel, (128, 128))[:, None, None, None])
    wrong = blur_of(sharp, 0.0)
    assert not torch.equal(Guard(wiener, photo, wrong, Tally()).admit(PRE, sharp), sharp)
    guard = Guard(wiener, photo, wrong, tally := Tally(), kernel)
    assert torch.equal(guard.admit(PRE, sharp), sharp) and not tally.record()
    assert torch.equal(guard.admit(OUT, brighter(sharp)), sharp)  # against both


def test_noise_is_measured_where_there_is_no_texture():
    flat = 0.5 + 0.03 * torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise_level(flat), torch.full((1, 1, 2, 2), 0.03), atol=2e-3, rtol=0)
    torch.testing.assert_close(cell_rms(flat - 0.5), torch.full((1, 1, 2, 2), 0.03), atol=2e-3, rtol=0)
