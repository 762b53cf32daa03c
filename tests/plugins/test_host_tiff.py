"""TIFF and raw files of the kinds that scanners, microscopes and cameras make, and profiles of scanners."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rawpy
import tifffile
import tifftools

from plugins.host import pictures
from plugins.host.masks import read_mask
from plugins.host.pictures import PictureError
from tests.plugins.kinds import P3, H, W, assert_read, smooth

LAYOUTS: list[dict[str, Any]] = [
    {"planarconfig": "separate"},
    {"planarconfig": "separate", "tile": (32, 32)},
    {"planarconfig": "separate", "compression": "zlib", "predictor": True, "rowsperstrip": 7},
    {"compression": "lzw", "byteorder": ">"},
    {"compression": "zlib", "byteorder": ">", "predictor": True},
    {"tile": (16, 16), "bigtiff": True},
    {"compression": "zstd"},
]


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_layouts_of_tiff(tmp_path, options, dtype):
    pixels = smooth(3, dtype)
    planes = np.moveaxis(pixels, 2, 0) if "planarconfig" in options else pixels
    tifffile.imwrite(tmp_path / "photo.tif", planes, photometric="rgb", **options)
    assert_read(tmp_path / "photo.tif", pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
def test_alpha_of_tiff(tmp_path, dtype, planar, colours, kind):
    pixels, top = smooth(4, dtype), np.iinfo(dtype).max
    alpha, straight = pixels[..., 3], pixels[..., :colours]
    stored = np.round(straight * (alpha[..., None] / top)).astype(dtype) if kind == "assocalpha" else straight
    stored = np.dstack([stored, alpha])
    tifffile.imwrite(
        tmp_path / "photo.tif",
        np.moveaxis(stored, 2, 0) if planar == "separate" else stored,
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig=planar,
        extrasamples=[kind],
    )
    assert_read(tmp_path / "photo.tif", straight, alpha, within=2 if kind == "assocalpha" else 0)


def test_further_channels_are_dropped_with_a_note(tmp_path):
    pixels = np.dstack([smooth(4), smooth(1)])
    tifffile.imwrite(tmp_path / "photo.tif", pixels, photometric="rgb", extrasamples=["unassalpha", "unspecified"])
    source = assert_read(tmp_path / "photo.tif", pixels[..., :3], pixels[..., 3])
    assert source.notes == ["'photo.tif' has several extra channels; the first was kept as alpha."]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
def test_white_is_zero(tmp_path, dtype, alpha):
    gray, top = smooth(1, dtype)[..., 0], np.iinfo(dtype).max
    clear = smooth(4, dtype)[..., 3]
    stored = np.dstack([top - gray, clear]) if alpha else top - gray
    more = {"extrasamples": ["unassalpha"], "planarconfig": "contig"} if alpha else {}
    tifffile.imwrite(tmp_path / "photo.tif", stored, photometric="miniswhite", **more)
    assert_read(tmp_path / "photo.tif", gray, clear if alpha else None)
    seen = read_mask(tmp_path / "photo.tif", W, H, [])
    assert np.allclose(seen, gray / top * (clear / top if alpha else 1), atol=1e-5)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb", "planes", "big-endian"])
def test_few_bits_become_sixteen(tmp_path, bits, photometric):
    given = smooth(1 if photometric.startswith("minis") else 3) >> (16 - bits)
    given = given[..., 0] if given.shape[2] == 1 else given
    stored = (1 << bits) - 1 - given if photometric == "miniswhite" else given
    if photometric == "planes":
        stored = np.moveaxis(stored, 2, 0)
    space = photometric if photometric.startswith("minis") else "rgb"
    planar = "separate" if photometric == "planes" else None
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, stored, bitspersample=bits, photometric=space, planarconfig=planar)
    if photometric == "big-endian":  # bits are packed alike in both byte orders
        tifftools.write_tiff(tifftools.read_tiff(path), tmp_path / "big.tif", bigEndian=True)
        path = tmp_path / "big.tif"
    assert_read(path, np.round(given.astype(float) * 65535 / ((1 << bits) - 1)).astype(np.uint16), within=1)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_very_few_bits(tmp_path, bits):
    space = "minisblack"
    given = (smooth(1)[..., 0] >> (16 - bits)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "photo.tif", given if bits > 1 else given > 0, bitspersample=bits, photometric=space)
    assert_read(tmp_path / "photo.tif", given * np.uint8(255 // ((1 << bits) - 1)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_black_to_white(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "photo.tif", (smooth(3) / 65535).astype(dtype), photometric="rgb")
    source = assert_read(tmp_path / "photo.tif", smooth(3), within=20 if dtype == np.float16 else 0)
    assert source.notes == ["'photo.tif' holds floating-point values, which were rounded to 16 bits."]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_profile_of_one_way_converts(tmp_path, dtype):
    icc = imagecodecs.cms_profile("rgb", whitepoint=(0.3127, 0.3290), primaries=P3, gamma=1.8)
    table = one_way(icc)
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, smooth(3, dtype), photometric="rgb", iccprofile=table)
    source = pictures.read(path)
    top = np.iinfo(dtype).max
    seen = imagecodecs.cms_transform(
        smooth(3, dtype) / np.float32(top), table, imagecodecs.cms_profile("srgb"), colorspace="rgb",
        outcolorspace="rgb", intent=1,
    )  # fmt: skip
    assert source.colour.icc is None and "was converted to sRGB" in source.notes[0] and source.samples.dtype == dtype
    assert np.abs(source.samples / top - np.clip(seen, 0, 1)).max() < 1 / 255


def one_way(icc: bytes) -> bytes:
    """A scanner's profile, with a table (lut16Type) to Lab of what a profile of curves and a matrix says."""
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(9, 81, 3)
    lab = imagecodecs.cms_transform(
        np.ascontiguousarray(grid), icc, imagecodecs.cms_profile("lab2"), colorspace="rgb", outcolorspace="lab",
        outdtype=np.float32, intent=1,
    )  # fmt: skip
    codes = np.stack([lab[..., 0] * 652.8, (lab[..., 1] + 128) * 256, (lab[..., 2] + 128) * 256], axis=-1)
    codes = np.clip(np.round(codes), 0, 65535).astype(">u2")
    line = struct.pack(">2H", 0, 65535)
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft2\0\0\0\0\3\3\x09\0" + matrix + struct.pack(">2H", 2, 2) + line * 3 + codes.tobytes() + line * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    data, parts = b"", []
    for name, part in ((b"A2B0", table), (b"wtpt", white)):
        parts.append(struct.pack(">4sII", name, 128 + 4 + 24 + len(data), len(part)))
        data += part + b"\0" * (-len(part) % 4)
    header = struct.pack(">I4xI4s4s4s12x4s", 156 + len(data), 0x02400000, b"scnr", b"RGB ", b"Lab ", b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", 2) + b"".join(parts) + data


def dng(path: Path, where: str, size: tuple[int, int] = (240, 320)) -> None:
    """A raw file: colours of a filter array in the first directory, or in one below a preview."""
    height, width = size
    cfa = (np.random.default_rng(0).random((height, width)) * 4000 + np.arange(width) * 100).astype(np.uint16)
    facts = [
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, b"\0\1\1\2", True),
    ]
    whole = [(271, 2, 5, "Made", True), (50706, 1, 4, b"\1\4\0\0", True), (50708, 2, 10, "Made Up 1", True)]
    with tifffile.TiffWriter(path) as file:
        if where == "below":
            preview = np.zeros((48, 64, 3), np.uint8)
            file.write(preview, photometric="rgb", subfiletype=1, subifds=1, extratags=whole, metadata=None)
            file.write(cfa, photometric=32803, subfiletype=0, extratags=facts, metadata=None)
        else:
            file.write(cfa, photometric=32803, subfiletype=0, extratags=[*facts, *whole], metadata=None)


@pytest.mark.parametrize("where", ["below", "first"])
def test_raw_files_are_developed_never_their_previews(tmp_path, where):
    dng(tmp_path / "photo.dng", where)
    with rawpy.imread(str(tmp_path / "photo.dng")) as raw:
        developed = raw.postprocess(use_camera_wb=True, output_bps=16, gamma=(2.4, 12.92))
    source = assert_read(tmp_path / "photo.dng", developed)
    assert "raw file; it was developed" in source.notes[0] and pictures.size_of(tmp_path / "photo.dng") == (320, 240)
    whole = (tmp_path / "photo.dng").read_bytes()
    (tmp_path / "photo.dng").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError):
        pictures.read(tmp_path / "photo.dng")


@pytest.mark.parametrize(
    "head", [b"FUJIFILMCCD-RAW 0201", b"II*\0\x10\0\0\0CR\2\0", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"]
)
def test_raw_files_that_cannot_be_developed_are_refused(tmp_path, head):
    (tmp_path / "photo.raw").write_bytes(head + bytes(500))
    with pytest.raises(PictureError, match="is a raw file that cannot be developed .*: export it as TIFF or DNG"):
        pictures.read(tmp_path / "photo.raw")


def test_a_preview_in_front_of_the_picture_is_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "photo.tif") as file:
        file.write(np.zeros((6, 8, 3), np.uint8), photometric="rgb", subfiletype=1)
        file.write(smooth(3), photometric="rgb", subfiletype=0)
    assert_read(tmp_path / "photo.tif", smooth(3))
