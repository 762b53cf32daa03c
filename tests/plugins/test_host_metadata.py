from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD

from plugins.host import pictures
from tests.plugins.fakes import noise, png16, write

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6" exif:GPSLatitude="48,51N"/></x:xmpmeta>'


@pytest.fixture
def photo(tmp_path):
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", 6
    details = {33434: 0.01, 36867: "2026:01:02 03:04:05", 37500: b"a maker's note", 40962: 48, 40963: 32}
    exif.get_ifd(IFD.Exif).update(details)
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 0.0)})
    path = tmp_path / "photo.jpg"
    Image.fromarray(noise(32, 48)).save(path, exif=exif, xmp=XMP)
    return path


def written(photo, tmp_path, format, keep):
    source = pictures.read(photo)
    with Image.open(write(source.pixels, source, tmp_path / "out", format, keep)) as image:
        image.load()
        exif = image.getexif()
        return image, exif, exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_nothing_is_kept_unless_asked_for(photo, tmp_path, format):
    image, exif, details, gps = written(photo, tmp_path, format, "none")
    assert 271 not in exif and not details and not gps
    assert "xmp" not in image.info and image.size == (32, 48)
    assert b"Maker" not in next((tmp_path / "out").iterdir()).read_bytes()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_without_location_keeps_exif_less_gps(photo, tmp_path, format):
    image, exif, details, gps = written(photo, tmp_path, format, "without_location")
    assert exif[271] == "Maker" and exif.get(274, 1) == 1
    assert details[36867] == "2026:01:02 03:04:05" and 37500 not in details
    assert (details[40962], details[40963]) == (32, 48)  # upright
    assert not gps and "xmp" not in image.info
    assert b"GPSLatitude" not in next((tmp_path / "out").iterdir()).read_bytes()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_all_keeps_gps_and_xmp_and_stays_upright(photo, tmp_path, format):
    image, exif, details, gps = written(photo, tmp_path, format, "all")
    assert exif[271] == "Maker" and gps[1] == "N" and tuple(map(float, gps[2])) == (48.0, 51.0, 0.0)
    assert details[37500] == b"a maker's note"
    data = next((tmp_path / "out").iterdir()).read_bytes()
    assert b"GPSLatitude" in data and b'tiff:Orientation="6"' not in data
    assert exif.get(274, 1) == 1 and image.size == (32, 48)
    assert pictures.read(next((tmp_path / "out").iterdir())).size == (32, 48)


def test_sixteen_bit_png_carries_it_too_and_tiff_says_what_it_cannot(photo, tmp_path):
    deep = pictures.read(png16(tmp_path / "deep.png", noise(32, 48, 3, np.uint16)))
    from dataclasses import replace

    plain = pictures.read(photo)
    deep = replace(deep, exif=plain.exif, xmp=plain.xmp)
    with Image.open(write(deep.pixels, deep, tmp_path, "png", "all")) as image:
        assert image.getexif()[271] == "Maker" and image.getexif().get_ifd(IFD.GPSInfo)[1] == "N"
        assert b"GPSLatitude" in image.info["xmp"]
    notes: list[str] = []
    write(deep.pixels, deep, tmp_path, "tiff", "without_location", notes=notes)
    assert notes == ["The photo's EXIF does not fit into this format and was not kept."]


def test_a_tiffs_layout_does_not_leak_into_the_result(tmp_path):
    Image.fromarray(noise(32, 48)).save(tmp_path / "photo.tif", tiffinfo={271: "Maker"})
    source = pictures.read(tmp_path / "photo.tif")
    with Image.open(write(source.pixels, source, tmp_path, "jpeg", "all")) as image:
        assert dict(image.getexif()) == {271: "Maker", 274: 1}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_stop_a_photo(tmp_path):
    Image.fromarray(noise(32, 48)).save(tmp_path / "photo.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    source = pictures.read(tmp_path / "photo.jpg")
    assert write(source.pixels, source, tmp_path, "png", "all").is_file()


def test_exif_that_cannot_be_written_is_left_out_with_a_note(tmp_path):
    Image.fromarray(noise(32, 48)).save(tmp_path / "photo.png")
    source = pictures.read(tmp_path / "photo.png")
    source.exif[0x011A] = "a fraction, once"
    notes: list[str] = []
    assert write(source.pixels, source, tmp_path / "out", "png", "all", notes=notes).is_file()
    assert notes == ["The photo's EXIF is damaged and was not kept."]
