"""Finding pairs and scenes, and how protocols compare."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import LimpidError
from training.data.manifest import list_images
from training.data.pairs import find_pairs
from training.data.photos import read_picture
from training.evaluation.metrics import PSNR_CAP, psnr, score
from training.evaluation.protocol import PROTOCOLS, flat_name, scene_of, subsample, to_8bit

NATIVE, RESIZED, LEVIN = (PROTOCOLS[name] for name in ("limpid-8bit-native", "real20-420", "levin09"))


def put(path: Path, size: tuple[int, int] = (30, 20), colour: tuple[int, int, int] = (90, 60, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_pairs_match_by_stem_whatever_their_format_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.jpg", "2.webp", "1_a.b.png"):
        put(tmp_path / "input" / name)
        put((tmp_path / "target" / name).with_suffix(".png"))
    (tmp_path / "input" / "notes.txt").write_text("not a picture")
    pairs = find_pairs(tmp_path)
    assert [pair.stem for pair in pairs] == ["1_a.b", "2", "10"]
    assert pairs[1].input.name == "2.webp" and pairs[1].target.name == "2.png"


@pytest.mark.parametrize(("without", "other"), [("target", "input"), ("input", "target")])
def test_a_missing_partner_is_named(tmp_path: Path, without: str, other: str) -> None:
    put(tmp_path / "input" / "a.png")
    put(tmp_path / "target" / "a.png")
    put(tmp_path / other / "lonely.png")
    with pytest.raises(LimpidError, match=rf"1 of {other}/ have no partner in {without}/: lonely\."):
        find_pairs(tmp_path)


def test_two_pictures_of_one_stem_are_an_error(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        put(tmp_path / "input" / name)
    put(tmp_path / "target" / "a.png")
    with pytest.raises(LimpidError, match="two pictures of the stem a"):
        find_pairs(tmp_path)


def test_folders_that_are_not_there_or_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(LimpidError, match="no folder 'input'"):
        find_pairs(tmp_path)
    with pytest.raises(LimpidError, match="no picture"):
        list_images(tmp_path)
    with pytest.raises(LimpidError, match="no folder"):
        list_images(tmp_path / "nowhere")


def test_two_sizes_are_an_error_natively_and_resized_under_the_420_protocol(tmp_path: Path) -> None:
    put(tmp_path / "input" / "a.png", (60, 84))
    put(tmp_path / "target" / "a.png", (60, 88))
    (pair,) = find_pairs(tmp_path)
    with pytest.raises(LimpidError, match="pair a has an input of 60 x 84 and a target of 60 x 88"):
        NATIVE.load(pair)
    photo, target = RESIZED.load(pair)
    assert photo.shape == target.shape == (588, 420, 3)


def test_pictures_are_read_upright_and_in_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    Image.new("L", (30, 20), 77).save(tmp_path / "gray.png", exif=exif)
    picture = read_picture(tmp_path / "gray.png")
    assert picture.shape == (30, 20, 3) and picture.dtype == np.uint8 and (picture == 77).all()
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(LimpidError, match=r"broken\.png cannot be read"):
        read_picture(tmp_path / "broken.png")


def test_scenes() -> None:
    assert scene_of("10_Focus_11") == scene_of("10_Thick_3") == "10"
    assert scene_of("86") == "86" and scene_of("kodak24-kodim01") == "kodak24-kodim01"
    assert scene_of("room-3-b", r"-(\d)-") == "3" and scene_of("room-3-b", r"room-\d") == "room-3"


def test_a_limit_is_spread_over_the_set() -> None:
    assert subsample(range(200), 4) == [0, 50, 100, 150]
    assert subsample([1, 2], None) == subsample([1, 2], 5) == [1, 2]
    with pytest.raises(LimpidError, match="at least 1"):
        subsample([1, 2], 0)


def test_rounding_to_8_bit() -> None:
    assert to_8bit(np.array([-0.1, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 1.2])).tolist() == [0, 0, 0, 1, 255, 255]


def noise(size: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (5, -5), (-3, 4), (-5, -5)])
def test_levin09_finds_a_shift_of_up_to_5_px(down: int, right: int) -> None:
    target = noise()
    moved = np.roll(target, (down, right), (0, 1))
    scores = LEVIN.score(moved, target)
    assert scores.psnr == PSNR_CAP and scores.ssim == pytest.approx(1) and scores.aligned == PSNR_CAP
    part, kept = LEVIN.compared(moved, target)
    assert np.array_equal(part, kept) and np.array_equal(kept, target[15:-15, 15:-15])


def test_levin09_finds_no_shift_of_6_px() -> None:
    assert LEVIN.score(np.roll(noise(), 6, 0), noise()).psnr < 12


def test_levin09_takes_the_best_of_what_is_left() -> None:
    picture, target = np.roll(noise(), 2, 1) // 2 + 40, noise()
    places = [picture[15 + y : 65 + y, 15 + x : 65 + x] for y in range(-5, 6) for x in range(-5, 6)]
    assert LEVIN.score(picture, target).psnr == max(psnr(place, target[15:65, 15:65]) for place in places)


def test_levin09_leaves_out_the_border_of_the_target() -> None:
    target = noise()
    spoilt = target.copy()
    spoilt[:15] = spoilt[-15:] = spoilt[:, :15] = spoilt[:, -15:] = 0
    assert LEVIN.score(spoilt, target).psnr == PSNR_CAP
    spoilt[15, 15] ^= 255
    assert LEVIN.score(spoilt, target).psnr < PSNR_CAP


def test_levin09_of_a_small_picture_says_what_is_wrong() -> None:
    LEVIN.score(noise(37), noise(37))
    with pytest.raises(LimpidError, match="levin09 leaves out 15 px a side.*36 x 36 px.*at least 37 px"):
        LEVIN.score(noise(36), noise(36))


def test_the_other_protocols_score_pictures_as_they_are() -> None:
    picture, target = noise(seed=1), noise(seed=2)
    assert NATIVE.score(picture, target) == RESIZED.score(picture, target) == score(picture, target)
    with pytest.raises(ValueError, match="same size"):
        NATIVE.score(noise(40), noise(41))


def test_motion_fields_belong_to_all_pairs_or_to_none(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / "input" / f"{name}.png")
        put(tmp_path / "target" / f"{name}.png")
    assert [pair.motion for pair in find_pairs(tmp_path)] == [None, None]
    (tmp_path / "motion").mkdir()
    (tmp_path / "motion" / "a.npy").touch()
    with pytest.raises(LimpidError, match=r"lacks the field of 1 of the pairs, first b\.npy"):
        find_pairs(tmp_path)
    (tmp_path / "motion" / "b.npy").touch()
    assert [pair.motion for pair in find_pairs(tmp_path)] == [tmp_path / "motion" / f"{name}.npy" for name in "ab"]


def test_names_of_a_tree_are_flat() -> None:
    assert flat_name(Path("/data/kodak24/kodim01.png"), Path("/data")) == "kodak24-kodim01"
