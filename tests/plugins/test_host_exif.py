"""EXIF of every type, kept tag by tag; ExifTool, where it is installed, reads the result and finds no fault in it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tifftools
from PIL import Image

from plugins.host import pictures
from tests.plugins.fakes import noise, write

EXIF, GPS, INTEROP = 34665, 34853, 40965
TEXT = "Gr\u00fc\u00dfe, \u5199\u771f".encode()
# tag: (type, values); types are those of TIFF: 1 byte, 2 text, 3 short, 4 long, 5 rational, 6 to 12 signed and floats.
MAIN: dict[int, tuple[int, Any]] = {
    270: (2, TEXT), 271: (2, b"Maker\0\0\0"), 272: (2, b"Camera \xa9 1"), 274: (3, [6]), 282: (5, [300, 1]),
    283: (5, [3000, 10]), 296: (3, [2]), 305: (2, b"Program 1.0"), 306: (2, b"2026:01:02 03:04:05"), 315: (2, TEXT),
    531: (3, [1]), 33432: (2, b"\xc2\xa9 2026"), 40091: (1, [0x54, 0, 0xED, 0, 0, 0]), 18246: (3, [4]),
}  # fmt: skip
DETAILS: dict[int, tuple[int, Any]] = {
    33434: (5, [1, 125]), 33437: (5, [28, 10]), 34850: (3, [2]), 34855: (3, [200]), 36864: (7, b"0232"),
    36867: (2, b"2026:01:02 03:04:05"), 36880: (2, b"+02:00"), 37121: (7, b"\1\2\3\0"), 37377: (10, [-7, 3]),
    37379: (10, [-3, 2]), 37380: (10, [-2, 3]), 37386: (5, [35, 1]), 37510: (7, b"ASCII\0\0\0a comment"),
    37521: (2, b"0123"), 40960: (7, b"0100"), 40961: (3, [1]), 40962: (4, [48]), 40963: (3, [32]), 41486: (5, [7, 2]),
    41729: (7, b"\1"), 41989: (3, [50]), 42034: (5, [24, 1, 70, 1, 28, 10, 28, 10]), 42036: (2, TEXT),
    42240: (5, [22, 10]), 59001: (6, [-5, 7]), 59002: (8, [-500]), 59003: (9, [-70000, 2]), 59004: (11, [0.5, -2.25]),
    59005: (12, [3.141592653589793]), 59006: (1, [9, 8, 7, 6, 5]), 59007: (129, TEXT),
}  # fmt: skip
PLACE: dict[int, tuple[int, Any]] = {
    0: (1, [2, 3, 0, 0]), 1: (2, b"N"), 2: (5, [10, 1, 30, 1, 0, 1]), 3: (2, b"E"), 4: (5, [20, 1, 15, 1, 0, 1]),
    5: (1, [0]), 6: (5, [12, 1]), 29: (2, b"2026:01:02"),
}  # fmt: skip
LINK: dict[int, tuple[int, Any]] = {1: (2, b"R98"), 2: (7, b"0100")}


def directory(values: dict[int, tuple[int, Any]]) -> dict[int, dict[str, Any]]:
    return {tag: {"datatype": kind, "data": data} for tag, (kind, data) in values.items()}


def block(big_endian: bool) -> bytes:
    main, details = directory(MAIN), directory(DETAILS)
    details[INTEROP] = {"datatype": 4, "ifds": [[{"tags": directory(LINK)}]]}
    main[EXIF] = {"datatype": 4, "ifds": [[{"tags": details}]]}
    main[GPS] = {"datatype": 4, "ifds": [[{"tags": directory(PLACE)}]]}
    file = io.BytesIO()
    tifftools.write_tiff([{"tags": main}], file, bigEndian=big_endian)
    return file.getvalue()


@pytest.fixture(params=[False, True], ids=["little", "big"])
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.fromarray(noise(32, 48)).save(path, exif=b"Exif\0\0" + block(request.param))
    return path


def kept(path: Path) -> dict[str, dict[int, Any]]:
    """Type and values of every tag, by directory."""
    told = pictures.read(path).metadata
    details = told.sub(EXIF)
    parts = {"main": told.exif, "details": details, "place": told.sub(GPS), "link": told.sub(INTEROP, details)}
    return {
        name: {tag: (value["datatype"], value["data"]) for tag, value in tags.items() if "ifds" not in value}
        for name, tags in parts.items()
    }


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("keep", ["all", "without_location"])
def test_tags_of_every_type_are_kept(photo, tmp_path, format, keep):
    source = pictures.read(photo)
    found = kept(write(source.pixels, source, tmp_path, format, keep))
    layout = {254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 339, 34675}
    main = {tag: value for tag, value in found["main"].items() if tag not in layout}
    expected = dict(MAIN)
    expected[274] = (3, [1])
    if format == "tiff":  # TIFF has its resolution in these tags itself
        expected[283] = main[283] = (5, [300, 1])
        main[282] = expected[282]
    assert main == expected
    assert found["details"] == DETAILS | {40962: (4, [32]), 40963: (3, [48])}
    assert found["link"] == LINK and found["place"] == (PLACE if keep == "all" else {})


@pytest.mark.skipif(not shutil.which("exiftool"), reason="needs exiftool")
@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_exiftool_finds_no_new_fault(photo, tmp_path, format):
    source = pictures.read(photo)
    result = write(source.pixels, source, tmp_path, format, "all")

    def ask(path: Path, *words: str) -> str:
        return subprocess.run(["exiftool", *words, str(path)], capture_output=True, text=True, check=True).stdout

    faults = [set(ask(path, "-validate", "-warning", "-a").splitlines()[1:]) for path in (photo, result)]
    assert faults[1] <= faults[0]
    before, after = (json.loads(ask(path, "-j", "-G1", "-a", "-u", "-n", "-s"))[0] for path in (photo, result))
    groups = ("IFD0:", "ExifIFD:", "GPS:", "InteropIFD:")
    wanted = {name: value for name, value in before.items() if name.startswith(groups)}
    wanted |= {"IFD0:Orientation": 1, "ExifIFD:ExifImageWidth": 32, "ExifIFD:ExifImageHeight": 48}
    assert len(wanted) >= 40 and {name: after.get(name) for name in wanted} == wanted


def test_directories_in_a_circle_are_damaged_not_endless(tmp_path):
    data = bytearray(block(False))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * count : first + 6 + 12 * count] = first.to_bytes(4, "little")
    Image.fromarray(noise(32, 48)).save(tmp_path / "photo.jpg", exif=b"Exif\0\0" + bytes(data))
    source = pictures.read(tmp_path / "photo.jpg")
    notes: list[str] = []
    assert write(source.pixels, source, tmp_path, "png", "all", notes=notes).is_file()
    assert notes == ["The photo's EXIF is damaged and was not kept."]
