"""Kinds of picture files that cameras, scanners and editors make: each is decoded to its own samples."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import rawpy
import tifffile
import tifftools
from PIL import Image, PngImagePlugin

from plugins.host import pictures
from plugins.host.masks import read_mask
from plugins.host.pictures import PictureError, Source
from tests.plugins.fakes import png16, profile, save, write

H, W = 60, 80


def smooth(channels: int, dtype: Any = np.uint16) -> np.ndarray:
    """Smooth colours, and an alpha from 0.3 to 0.9 as the fourth channel."""
    y, x = np.mgrid[0:H, 0:W]
    alpha = 0.3 + 0.6 * ((x + y) % 2)
    planes = [x / W * 0.8 + 0.1, y / H * 0.7 + 0.1, 0.5 + 0.3 * np.sin(x / 9) * np.cos(y / 7), alpha]
    return np.round(np.stack(planes, axis=2)[..., :channels] * np.iinfo(dtype).max).astype(dtype)


def assert_read(path: Path, samples: np.ndarray, alpha: np.ndarray | None = None, within: int = 0) -> Source:
    """The file is read as these samples, and its result at strength 0 has them, too."""
    source = pictures.read(path)
    expected = samples if samples.ndim == 3 else samples[..., None]
    for one in (source, pictures.read(write(source.pixels, source, path.parent / "out"))):
        assert (one.samples.dtype, one.samples.shape) == (expected.dtype, expected.shape)
        assert np.abs(one.samples.astype(int) - expected).max() <= within
        assert (one.alpha is None) == (alpha is None)
        if alpha is not None:
            assert np.abs(one.alpha.astype(int) - alpha).max() <= within
    return source


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


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".jp2", "12.jp2", ".bmp"])
def test_other_formats_keep_their_depth(tmp_path, suffix):
    path, pixels = tmp_path / f"photo{suffix}", smooth(1 if suffix == ".pgm" else 3)
    if suffix in (".ppm", ".pgm"):
        magic = b"P6" if suffix == ".ppm" else b"P5"
        path.write_bytes(magic + b"\n80 60\n65535\n" + pixels.astype(">u2").tobytes())
    elif suffix == "12.jp2":
        path.write_bytes(imagecodecs.jpeg2k_encode(pixels >> 4, level=0, reversible=True, bitspersample=12))
        pixels = np.round((pixels >> 4) * (65535 / 4095)).astype(np.uint16)
    elif suffix == ".jp2":
        path.write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True))
    else:
        pixels = smooth(3, np.uint8)
        save(path, pixels)
    assert_read(path, pixels, within=1 if "12" in suffix else 0)


def test_jpeg_of_twelve_bits(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(imagecodecs.jpeg8_encode(smooth(3) >> 4, level=99, bitspersample=12))
    source = pictures.read(tmp_path / "photo.jpg")
    assert source.samples.dtype == np.uint16 and np.abs(source.samples.astype(int) - smooth(3)).mean() < 200


def png(path: Path, pixels: np.ndarray, bits: int, chunks: list[tuple[bytes, bytes]], end: bool = True) -> Path:
    """A PNG file, written by the words of its standard."""
    rgb = pixels.ndim == 3
    if bits < 8:
        spread = (pixels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        rows = [np.packbits(row.ravel().astype(np.uint8)).tobytes() for row in spread]
    else:
        rows = [row.astype(">u2" if bits == 16 else "u1").tobytes() for row in pixels]
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, 2 if rgb else 0, 0, 0, 0)
    data = (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in [(b"IHDR", header), *chunks, data] + [(b"IEND", b"")] * end:
            PngImagePlugin.putchunk(file, kind, content)
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_value_of_gray_png(tmp_path, bits):
    given = smooth(1)[..., 0] >> (16 - bits)
    key, top = given[20, 30], 65535 if bits == 16 else 255
    path = png(tmp_path / "photo.png", given, bits, [(b"tRNS", struct.pack(">H", key))])
    dtype = np.uint16 if bits == 16 else np.uint8
    scaled = (given.astype(int) * top // ((1 << bits) - 1)).astype(dtype)
    assert_read(path, scaled, np.where(given == key, 0, top).astype(dtype))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"tEXt"])
def test_png_with_much_text(tmp_path, kind):
    words = b"step " * 3_000_000
    text = {b"zTXt": b"\0" + zlib.compress(words), b"iTXt": b"\1\0\0\0" + zlib.compress(words), b"tEXt": words}[kind]
    assert_read(png(tmp_path / "photo.png", smooth(3), 16, [(kind, b"workflow\0" + text)]), smooth(3))


def test_png_and_jpeg_without_their_ends(tmp_path):
    source = assert_read(png(tmp_path / "photo.png", smooth(3), 16, [], end=False), smooth(3))
    assert source.notes == ["'photo.png' lacks its end, though no pixels."]
    for progressive in (False, True):
        path = save(tmp_path / "photo.jpg", smooth(3, np.uint8), progressive=progressive)
        whole = pictures.read(path)
        data = path.read_bytes()
        for cut in (data[:-1], data[:-2], data[:-2] + bytes(300)):
            path.write_bytes(cut)
            source = pictures.read(path)
            assert np.array_equal(source.samples, whole.samples)
        path.write_bytes(data[:-2])
        assert pictures.read(path).notes == ["'photo.jpg' lacks its end, though no pixels."]
        path.write_bytes(data[:-60])
        with pytest.raises(PictureError, match="is damaged or cut short"):
            pictures.read(path)


P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
CHRM = struct.pack(">8I", 31270, 32900, *(round(value * 100_000) for value in P3))


@pytest.mark.parametrize(
    ("chunks", "primaries", "gamma"),
    [
        ([(b"gAMA", struct.pack(">I", 55556))], None, 1.8),
        ([(b"gAMA", struct.pack(">I", 100000)), (b"cHRM", CHRM)], P3, 1.0),
        ([(b"cICP", bytes((12, 4, 0, 1))), (b"sRGB", b"\0")], P3, 2.2),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 55556))], None, None),
    ],
)
def test_colours_said_by_chunks(tmp_path, chunks, primaries, gamma):
    source = assert_read(png(tmp_path / "photo.png", smooth(3), 16, chunks), smooth(3))
    values = smooth(3) / np.float32(65535)
    if gamma:
        white, primaries = (0.3127, 0.3290), primaries or (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
        icc = imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, gamma=gamma)
        values = imagecodecs.cms_transform(
            values, icc, imagecodecs.cms_profile("srgb"), colorspace="rgb", outcolorspace="rgb", intent=1
        )
    assert np.abs(source.pixels - np.clip(values, 0, 1)).max() < 0.5 / 255
    again = pictures.read(write(source.pixels, source, tmp_path / "again", "jpeg"))
    assert np.abs(again.pixels - source.pixels).mean() < 1.5 / 255


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("suffix", [".png", ".heic"])
def test_hdr_comes_back_in_its_own_transfer(tmp_path, transfer, suffix):
    path = tmp_path / f"photo{suffix}"
    if suffix == ".png":
        png(path, smooth(3), 16, [(b"cICP", bytes((9, transfer, 0, 1)))])
    else:
        pillow_heif.from_bytes("RGB;16", (W, H), smooth(3).tobytes()).save(
            path, quality=-1, color_primaries=9, transfer_characteristics=transfer, save_nclx_profile=True
        )
    source = pictures.read(path)
    assert "HDR picture" in source.notes[0]
    again = pictures.read(write(source.pixels, source, tmp_path / "out"))
    assert np.array_equal(again.samples, source.samples) and again.colour.hdr == (9, transfer)
    notes: list[str] = []
    seen = pictures.read(write(source.pixels, source, tmp_path / "out", "tiff", notes=notes))
    assert notes == ["TIFF cannot say that a picture is HDR: its profile shows it tone-mapped."]
    assert np.abs(seen.pixels - source.pixels).max() < 1e-3


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_heic_and_avif_keep_depth_and_alpha(tmp_path, monkeypatch, bits, mode, suffix):
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = smooth(len(mode), dtype)
    if suffix == ".heic":
        monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
        name = mode + ("" if bits == 8 else ";16")
        pillow_heif.from_bytes(name, (W, H), pixels.tobytes()).save(tmp_path / "photo.heic", quality=-1, chroma=444)
    else:
        stored = (pixels[..., 0] if mode == "L" else pixels) >> (0 if bits == 8 else 16 - bits)
        space = "yuv400" if mode == "L" else "yuv444"
        data = imagecodecs.avif_encode(stored, level=100, bitspersample=bits, pixelformat=space)
        (tmp_path / "photo.avif").write_bytes(data)
    alpha = pixels[..., 3] if mode == "RGBA" else None
    assert_read(tmp_path / f"photo{suffix}", pixels[..., :3], alpha, within=4 if bits == 8 else 400)


@pytest.mark.parametrize("primaries", [1, 12])
def test_colours_said_by_nclx(tmp_path, primaries):
    file = pillow_heif.from_bytes("RGB;16", (W, H), smooth(3).tobytes())
    file.save(tmp_path / "photo.heic", quality=-1, color_primaries=primaries, transfer_characteristics=13,
              save_nclx_profile=True)  # fmt: skip
    source = pictures.read(tmp_path / "photo.heic")
    assert (source.colour.icc is not None) == (primaries == 12) and source.samples.dtype == np.uint16
    if primaries == 12:
        wide = pictures.read(png16(tmp_path / "photo.png", source.samples))
        wide.colour.__init__(profile(None), gray=False)
        assert np.abs(source.pixels - wide.pixels).max() < 1 / 255


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


def test_adobe_rgb_said_by_exif(tmp_path):
    path = save(tmp_path / "photo.jpg", smooth(3, np.uint8), quality=95)
    plain = pictures.read(path)
    exif = Image.Exif()
    exif.get_ifd(34665)[40961] = 65535
    exif.get_ifd(34665)[40965] = {1: "R03"}
    save(path, smooth(3, np.uint8), quality=95, exif=exif)
    wide = pictures.read(path)
    assert wide.colour.icc and np.array_equal(wide.samples, plain.samples)
    assert np.abs(wide.pixels - plain.pixels).max() > 0.05


def test_gain_maps_are_dropped_with_a_note(tmp_path):
    space = "http://ns.adobe.com/hdr-gain-map/1.0/"
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r xmlns:hdrgm="{space}" hdrgm:Version="1.0"/></x:xmpmeta>'.encode()
    source = pictures.read(save(tmp_path / "photo.jpg", smooth(3, np.uint8), xmp=xmp))
    assert source.notes == ["'photo.jpg' has a gain map for HDR displays, which was dropped."]
    assert b"hdrgm:Version" not in write(source.pixels, source, tmp_path / "out", "jpeg", "all").read_bytes()


def test_cmyk_with_a_profile_is_converted_by_it(tmp_path):
    values = np.zeros((H, W, 4), np.uint8)
    values[..., 0] = np.linspace(0, 255, W)
    picture = Image.fromarray(values, "CMYK")
    picture.save(tmp_path / "plain.tif")
    plain = pictures.read(tmp_path / "plain.tif")
    assert np.abs(plain.samples.astype(int) - np.asarray(picture.convert("RGB"))).max() <= 1
    assert plain.notes == ["'plain.tif' is in CMYK; it was converted to sRGB."]


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "I;16"])
def test_masks_mean_what_they_look_like(tmp_path, mode):
    half = np.zeros((H, W), np.uint8)
    half[:, W // 2 :] = 255
    picture = Image.fromarray(half)
    if mode == "P":
        picture = Image.fromarray(np.where(half, 3, 7).astype(np.uint8), "P")
        picture.putpalette([255 if entry == 3 else 0 for entry in range(256) for _ in range(3)])
    elif mode in ("RGBA", "LA"):
        picture = Image.new(mode, (W, H), "white")
        picture.putalpha(Image.fromarray(half))
    else:
        picture = Image.fromarray(half.astype(np.uint16) * 257)
    picture.save(tmp_path / "mask.png")
    seen = read_mask(tmp_path / "mask.png", W, H, [])
    assert (seen == half / 255).all()


def test_a_mask_of_zero_and_one_is_noted(tmp_path):
    notes: list[str] = []
    read_mask(save(tmp_path / "mask.png", np.eye(H, W, dtype=np.uint8)), W, H, notes)
    assert notes == ["The mask is nearly black (at most 1 of 255), so next to nothing was changed: use white."]
