"""Pictures that the host refuses, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

from plugins.host import pictures
from plugins.host.pictures import PictureError
from tests.plugins.fakes import noise, png16, save


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("text.jpg", b"hello, this is text", "'text.jpg' is not a picture that can be read: use JPEG"),
        ("empty.jpg", b"", "'empty.jpg' is empty"),
        ("vector.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture that can be read"),
    ],
)
def test_what_is_no_picture_is_said(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PictureError, match=sentence):
        pictures.read(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif", ".avif", ".heic"])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_cut_short_files_are_said_to_be(tmp_path, suffix, share):
    path = tmp_path / f"photo{suffix}"
    if suffix == ".heic":
        pillow_heif.from_pillow(Image.fromarray(noise(200, 200))).save(path)
    else:
        save(path, noise(200, 200))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(PictureError, match="is damaged or cut short|is not a picture that can be read"):
        pictures.read(path)


def test_sixteen_bit_cut_short(tmp_path):
    path = png16(tmp_path / "deep.png", noise(100, 100, 3, np.uint16))
    path.write_bytes(path.read_bytes()[:30000])
    with pytest.raises(PictureError, match="is damaged or cut short"):
        pictures.read(path)


@pytest.mark.parametrize(("side", "said"), [(20000, 400), (12000, 144)])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, side, said):
    import struct

    from PIL import PngImagePlugin

    with (tmp_path / "bomb.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        PngImagePlugin.putchunk(file, b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        PngImagePlugin.putchunk(file, b"IDAT", b"")
    for ask in (pictures.read, pictures.size_of):
        with pytest.raises(PictureError, match=f"has {said} megapixels: pictures of up to 120 megapixels are accepted"):
            ask(tmp_path / "bomb.png")


def test_no_picture_and_a_missing_one(tmp_path):
    for nothing in (None, ""):
        with pytest.raises(PictureError, match="No picture was given: choose a photo first"):
            pictures.read(nothing)
    with pytest.raises(PictureError, match=r"There is no picture file 'gone.png'\."):
        pictures.read(tmp_path / "gone.png")


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan])
def test_floating_point_pictures_beyond_black_and_white_are_refused(tmp_path, value):
    values = np.random.default_rng(0).random((8, 8), np.float32)
    values[3, 3] = value
    Image.fromarray(values).save(tmp_path / "float.tif")
    with pytest.raises(PictureError, match="holds floating-point values outside of 0 to 1: save it with 8 or 16 bits"):
        pictures.read(tmp_path / "float.tif")


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int32])
def test_whole_numbers_of_other_kinds_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "odd.tif", np.full((8, 8), 9, dtype))
    with pytest.raises(PictureError, match="holds .* of a kind that is not read: save it with 8 or 16 bits"):
        pictures.read(tmp_path / "odd.tif")


@pytest.mark.parametrize("kind", ["tiff", "avif", "gif", "png", "jpeg", "webp"])
def test_a_picture_cut_short_is_called_that_without_its_path(kind: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    whole = tmp_path / f"whole.{kind}"
    Image.fromarray(pixels).save(whole)
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(PictureError, match="is damaged or cut short") as refusal:
        pictures.read(cut)
    assert str(tmp_path) not in str(refusal.value)
