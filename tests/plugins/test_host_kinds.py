"""Kinds of picture files that cameras, scanners and editors make: each is decoded to its own samples."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms

from plugins.host import pictures
from plugins.host.masks import read_mask
from plugins.host.pictures import PictureError
from tests.plugins.fakes import png16, profile, save, write
from tests.plugins.kinds import P3, H, W, assert_read, png, smooth


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
        assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(source.colour.icc))).startswith(
            "Display P3"
        )
        wide = pictures.read(png16(tmp_path / "photo.png", source.samples))
        wide.colour.__init__(profile(None), gray=False)
        assert np.abs(source.pixels - wide.pixels).max() < 1 / 255


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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_goes_through_its_profile(tmp_path, dtype):
    values = np.round(smooth(4, dtype) * 0.5).astype(dtype)
    icc = pyvips.Operation.call("profile_load", "cmyk")
    tifffile.imwrite(tmp_path / "print.tif", values, photometric="separated", iccprofile=icc)
    source = pictures.read(tmp_path / "print.tif")
    top = np.iinfo(dtype).max
    seen = imagecodecs.cms_transform(
        values, icc, imagecodecs.cms_profile("srgb"), colorspace="cmyk", outcolorspace="rgb", intent=1
    )
    assert source.samples.dtype == dtype and source.colour.icc is None
    assert source.notes == ["'print.tif' is in CMYK; it was converted to sRGB."]
    assert np.abs(source.samples / top - seen / top).max() < 3 / 255
