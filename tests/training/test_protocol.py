"""Finding pairs and scenes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.protocol import (
    PROTOCOLS,
    EvaluationError,
    find_pairs,
    find_pictures,
    read_picture,
    scene_of,
    spread,
    to_8bit,
)

NATIVE, RESIZED = PROTOCOLS["limpid-8bit-native"], PROTOCOLS["real20-420"]


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
    with pytest.raises(EvaluationError, match=rf"1 of {other}/ have no partner in {without}/: lonely\."):
        find_pairs(tmp_path)


def test_two_pictures_of_one_stem_are_an_error(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        put(tmp_path / "input" / name)
    put(tmp_path / "target" / "a.png")
    with pytest.raises(EvaluationError, match="two pictures of the stem a"):
        find_pairs(tmp_path)


def test_folders_that_are_not_there_or_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no folder 'input'"):
        find_pairs(tmp_path)
    with pytest.raises(EvaluationError, match="no picture"):
        find_pictures(tmp_path)
    with pytest.raises(EvaluationError, match="no folder"):
        find_pictures(tmp_path / "nowhere")


def test_two_sizes_are_an_error_natively_and_resized_under_the_420_protocol(tmp_path: Path) -> None:
    put(tmp_path / "input" / "a.png", (60, 84))
    put(tmp_path / "target" / "a.png", (60, 88))
    (pair,) = find_pairs(tmp_path)
    with pytest.raises(EvaluationError, match="pair a has an input of 60 x 84 and a target of 60 x 88"):
        pair.load(NATIVE)
    photo, target = pair.load(RESIZED)
    assert photo.shape == target.shape == (588, 420, 3)


def test_pictures_are_read_upright_and_in_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    Image.new("L", (30, 20), 77).save(tmp_path / "gray.png", exif=exif)
    picture = read_picture(tmp_path / "gray.png")
    assert picture.shape == (30, 20, 3) and picture.dtype == np.uint8 and (picture == 77).all()
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(EvaluationError, match=r"broken\.png cannot be read"):
        read_picture(tmp_path / "broken.png")


def test_scenes() -> None:
    assert scene_of("10_Focus_11") == scene_of("10_Thick_3") == "10"
    assert scene_of("86") == "86" and scene_of("kodak24-kodim01") == "kodak24-kodim01"
    assert scene_of("room-3-b", r"-(\d)-") == "3" and scene_of("room-3-b", r"room-\d") == "room-3"


def test_a_limit_is_spread_over_the_set() -> None:
    assert spread(range(200), 4) == [0, 50, 100, 150]
    assert spread([1, 2], None) == spread([1, 2], 5) == [1, 2]
    with pytest.raises(EvaluationError, match="at least 1"):
        spread([1, 2], 0)


def test_rounding_to_8_bit() -> None:
    assert to_8bit(np.array([-0.1, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 1.2])).tolist() == [0, 0, 0, 1, 255, 255]
