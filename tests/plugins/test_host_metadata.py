from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD

from plugins.host import metadata, pictures
from tests.plugins.fakes import noise, png16, write

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" tiff:Orientation="6" exif:GPSLatitude="48,51N"/></x:xmpmeta>'
)


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


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_sixteen_bits_carry_it_too(photo, tmp_path, format):
    deep = pictures.read(png16(tmp_path / "deep.png", noise(32, 48, 3, np.uint16)))
    deep = replace(deep, metadata=pictures.read(photo).metadata)
    again = pictures.read(write(deep.pixels, deep, tmp_path, format, "all"))
    assert again.samples.dtype == np.uint16
    assert again.metadata.exif[271]["data"] == b"Maker" and b"GPSLatitude" in again.metadata.xmp
    assert again.metadata.sub(metadata.GPS_IFD)[1]["data"] == b"N"


def test_a_tiffs_layout_does_not_leak_into_the_result(tmp_path):
    Image.fromarray(noise(32, 48)).save(tmp_path / "photo.tif", tiffinfo={271: "Maker"})
    source = pictures.read(tmp_path / "photo.tif")
    with Image.open(write(source.pixels, source, tmp_path, "jpeg", "all")) as image:
        assert dict(image.getexif()) == {271: "Maker"}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_stop_a_photo(tmp_path):
    Image.fromarray(noise(32, 48)).save(tmp_path / "photo.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    source = pictures.read(tmp_path / "photo.jpg")
    assert write(source.pixels, source, tmp_path, "png", "all").is_file()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"exif": {0x011A: {"datatype": 5, "data": "a fraction, once"}}}, "EXIF"),
        ({"damaged": True}, "EXIF"),
        ({"xmp": b"<no xml"}, "XMP"),
    ],
)
def test_what_cannot_be_written_is_left_out_with_a_note(tmp_path, damage, said):
    Image.fromarray(noise(32, 48)).save(tmp_path / "photo.png")
    source = pictures.read(tmp_path / "photo.png")
    source = replace(source, metadata=metadata.Metadata(**damage))
    notes: list[str] = []
    assert write(source.pixels, source, tmp_path / "out", "png", "all", notes=notes).is_file()
    assert notes == [f"The photo's {said} is damaged and was not kept."]
    notes.clear()
    assert write(source.pixels, source, tmp_path / "out", "png", "none", notes=notes).is_file() and not notes
