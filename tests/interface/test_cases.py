"""Pictures of real cameras, scanners and editors, through the command line at strength 0: they come back as they were.

The files are those of ../shared/cases, each for a whole kind; without that folder these tests are skipped. Files of the
same kinds are made in tests/plugins/test_host_kinds.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from gradio_client import Client, handle_file
from PIL import Image

from interface import cli
from tests import ROOT

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")
exiftool = shutil.which("exiftool")


class Restored:
    """A case restored at strength 0: the samples of the PNG, the profile in it, and the notes of its record."""

    def __init__(self, name: str, out: Path, *words: str) -> None:
        path = CASES / name
        assert (
            cli.main(["restore", str(path), "--steps", "dereflection", "--strength", "0", "--out", str(out), *words])
            == 0
        )
        stem = f"{path.stem}-restored"
        self.record = json.loads((out / f"{stem}.json").read_text())
        self.notes = " ".join(self.record["record"]["notes"])
        self.path = out / self.record["file"]
        with Image.open(self.path) as image:
            self.icc = image.info.get("icc_profile")
        self.samples = imagecodecs.imread(self.path)

    def srgb(self) -> np.ndarray:
        """The picture in floating-point sRGB, by Little-CMS."""
        values = self.samples[..., :3].astype(np.float32) / np.iinfo(self.samples.dtype).max
        return in_srgb(values, self.icc) if self.icc else values


def in_srgb(values: np.ndarray, icc: bytes) -> np.ndarray:
    srgb = imagecodecs.cms_profile("srgb")
    out = imagecodecs.cms_transform(values, icc, srgb, colorspace="rgb", outcolorspace="rgb", intent=1)
    return np.clip(out, 0, 1)


def of_gamma(values: np.ndarray, gamma: float, primaries: tuple[float, ...] | None = None) -> np.ndarray:
    primaries = primaries or (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    icc = imagecodecs.cms_profile("rgb", whitepoint=(0.3127, 0.3290), primaries=primaries, gamma=gamma)
    return in_srgb(values, icc)


@pytest.fixture
def restore(tiny_models: None, tmp_path: Path) -> Callable[..., Restored]:
    return lambda name, *words: Restored(name, tmp_path / "out", *words)


@pytest.mark.parametrize(
    "name", ["rgb16_planar.tif", "rgb16_zlib_be.tif", "graya16.tif", "miniswhite16.tif", "gray12.tif"]
)
def test_deep_tiff_files(restore: Callable[..., Restored], name: str) -> None:
    expected = tifffile.imread(CASES / name)
    if name == "rgb16_planar.tif":
        expected = np.moveaxis(expected, 0, 2)
    elif name == "miniswhite16.tif":
        expected = 65535 - expected
    elif name == "gray12.tif":
        expected = np.round(expected * (65535 / 4095)).astype(np.uint16)
    samples = restore(name).samples
    assert samples.dtype == np.uint16 and np.array_equal(samples, expected)


def test_associated_alpha(restore: Callable[..., Restored]) -> None:
    given, samples = tifffile.imread(CASES / "rgba16_assoc.tif"), restore("rgba16_assoc.tif").samples
    assert samples.dtype == np.uint16 and np.array_equal(samples[..., 3], given[..., 3])
    again = np.round(samples[..., :3].astype(float) * samples[..., 3:] / 65535)
    assert np.array_equal(again, given[..., :3])


def test_a_raw_file_is_developed(restore: Callable[..., Restored]) -> None:
    result = restore("shot.dng")
    assert result.samples.shape == (240, 320, 3) and result.samples.dtype == np.uint16
    assert "raw file; it was developed with the camera's white balance" in result.notes


def test_a_scanners_profile(restore: Callable[..., Restored]) -> None:
    with Image.open(CASES / "scanner_icc.png") as image:
        seen = in_srgb(np.asarray(image, np.float32) / 255, image.info["icc_profile"])
    assert np.abs(restore("scanner_icc.png").srgb() - seen).max() < 1 / 255


def test_colours_said_by_gama_and_cicp(restore: Callable[..., Restored]) -> None:
    with Image.open(CASES / "gama1_8.png") as image:
        values, gamma = np.asarray(image, np.float32) / 255, 1 / image.info["gamma"]
    result = restore("gama1_8.png")
    assert np.abs(result.srgb() - of_gamma(values, gamma)).max() < 0.5 / 255
    assert np.array_equal(result.samples, imagecodecs.imread(CASES / "gama1_8.png"))
    result = restore("cicp_p3.png")
    assert np.array_equal(result.samples, imagecodecs.imread(CASES / "cicp_p3.png"))
    assert result.icc and not np.allclose(result.srgb(), result.samples / 255, atol=0.05)


def test_colours_said_by_nclx(restore: Callable[..., Restored]) -> None:
    file = pillow_heif.open_heif(CASES / "nclx_p3.heic")
    result = restore("nclx_p3.heic")
    assert np.array_equal(result.samples, np.asarray(file)) and result.icc
    for name in ("p3_10bit.avif", "sdr10.avif"):
        result = restore(name)
        other = imagecodecs.avif_decode((CASES / name).read_bytes()) / 1023  # another decoder, with smoother chroma
        assert result.samples.dtype == np.uint16 and (result.icc is not None) == name.startswith("p3")
        assert -10 * np.log10(np.mean((result.samples / 65535 - other) ** 2)) > 35


def test_png_files_with_much_text_or_few_bits(restore: Callable[..., Restored]) -> None:
    assert np.array_equal(restore("ztxt2mb.png").samples, imagecodecs.imread(CASES / "ztxt2mb.png"))
    assert (restore("gray4_trns.png").samples[..., -1] == 0).sum() == 4064


def test_a_jpeg_without_its_end_mark(restore: Callable[..., Restored]) -> None:
    result = restore("trunc_tail2.jpg")
    whole = imagecodecs.jpeg_decode((CASES / "trunc_tail2.jpg").read_bytes() + b"\xff\xd9")
    assert np.array_equal(result.samples, whole) and "lacks its end" in result.notes


def test_masks(restore: Callable[..., Restored]) -> None:
    assert "nearly black" in restore("ztxt2mb.png", "--mask", str(CASES / "zero_one.png")).notes
    from plugins.host.masks import read_mask

    mask = read_mask(CASES / "miniswhite16.tif", 160, 120, [])
    assert np.abs(mask - (65535 - tifffile.imread(CASES / "miniswhite16.tif")) / 65535).max() < 1e-4


def test_the_api_gives_the_same_files(restore: Callable[..., Restored], client: Client) -> None:
    for path in sorted(CASES.iterdir()):
        if path.suffix == ".md":
            continue
        file, record, _ = client.predict(image=handle_file(path), strength=0, api_name="/dereflection")
        made = restore(path.name)
        assert Path(file).read_bytes() == made.path.read_bytes(), path.name
        assert record["notes"] == made.record["record"]["notes"], path.name


def tags(path: Path) -> dict[str, Any]:
    words = ["exiftool", "-j", "-G1", "-a", "-u", "-n", "-s", str(path)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)[0]


@pytest.mark.skipif(not exiftool, reason="needs exiftool")
@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_metadata_is_kept_tag_by_tag(restore: Callable[..., Restored], format: str) -> None:
    words = ("--format", format, "--keep-metadata", "all")
    result = restore("cam.jpg", *words).path
    groups = ("IFD0:", "ExifIFD:", "GPS:", "InteropIFD:", "XMP-")
    before, after = tags(CASES / "cam.jpg"), tags(result)
    wanted = {name: value for name, value in before.items() if name.startswith(groups)}
    assert {name: after.get(name) for name in wanted} == wanted
    if format != "tiff":  # which warns of tags that EXIF has and TIFF has not
        told = subprocess.run(["exiftool", "-validate", "-warning", str(result)], capture_output=True, text=True).stdout
        assert "OK" in told.splitlines()[0]


@pytest.mark.skipif(not exiftool, reason="needs exiftool")
@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("keep", ["none", "without_location", "all"])
def test_nothing_shows_or_describes_the_old_file(restore: Callable[..., Restored], format: str, keep: str) -> None:
    result = restore("meta.jpg", "--format", format, "--keep-metadata", keep).path
    found, data = tags(result), result.read_bytes()
    assert not [name for name in found if "humbnail" in name or "MicroVideo" in name or name.startswith("IFD1")]
    sizes = {name: value for name, value in found.items() if name.endswith(("ImageWidth", "PixelXDimension"))}
    assert sizes and set(sizes.values()) == {120}
    assert {value for name, value in found.items() if name.endswith("Orientation")} <= {1}
    assert keep == "all" or (not [name for name in found if "GPS" in name] and b"secretword" not in data)
    assert (found.get("GPS:GPSLatitude") is not None) == (keep == "all")
    assert (found.get("IPTC:Keywords") == "secretword") == (keep == "all" and format != "webp")
    wide = [found.get(name) for name in ("JFIF:XResolution", "PNG-pHYs:PixelsPerUnitX", "IFD0:XResolution")]
    assert any(value in (300, 11811) for value in wide) or (format == "webp" and keep == "none")
