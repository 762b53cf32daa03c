"""Round trips at strength 0 over formats, colour spaces, alpha and orientations.

A thirteenth of the grid runs with the fast tests; all of it with LIMPID_FULL_GRID=1.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import pyvips
import tifffile
from PIL import Image

from plugins.host import pictures
from tests.plugins.fakes import write

HEIGHT, WIDTH = 32, 48
D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
CURVE = np.where((x := np.linspace(0, 1, 1024)) <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
SPACES = {  # white, primaries, curve
    "srgb": None,
    "p3": (D65, (0.680, 0.320, 0.265, 0.690, 0.150, 0.060), CURVE),
    "adobe": (D65, (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), x ** (563 / 256)),
    "prophoto": (D50, (0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), x**1.8),
    "gray": (D65, SRGB, x**2.2),
    "linear": (D65, SRGB, x),
}
FORMATS = ["jpeg", "png8", "png16", "webp", "avif8", "avif10", "heic8", "heic10"]
FORMATS += [f"tiff{bits}-{layout}" for bits in (8, 16) for layout in ("strips", "tiles", "planar")]
LOSSY = ("jpeg", "avif", "heic")


def fits(name: str, space: str, alpha: bool, turn: int) -> bool:
    """Whether a format has such pictures: JPEG has no alpha, WebP no gray; 10-bit AVIF is made upright in colour."""
    if name == "avif10":
        return turn == 1 and space != "gray"
    return not (name == "jpeg" and alpha) and not (name == "webp" and space == "gray")


GRID = [case for case in itertools.product(FORMATS, SPACES, (False, True), range(1, 9)) if fits(*case)]


def profile(space: str) -> bytes | None:
    if SPACES[space] is None:
        return None
    white, primaries, curve = SPACES[space]
    kind = "gray" if space == "gray" else "rgb"
    more = {} if kind == "gray" else {"primaries": primaries}
    return imagecodecs.cms_profile(kind, whitepoint=white, transferfunction=curve.astype(np.float32), **more)


def picture(channels: int, bits: int) -> np.ndarray:
    """Smooth enough for 45 dB after a lossy coding."""
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH]
    red, green = 0.2 + 0.6 * column / WIDTH, 0.3 + 0.5 * row / HEIGHT
    planes = {1: [red], 2: [red, green], 3: [red, green, 1 - red], 4: [red, green, 1 - red, 0.9 - green / 2]}[channels]
    return np.round(np.stack(planes, axis=2) * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation="multiband").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", turn)
    return image.autorot().numpy().reshape(-1, *(pixels.shape[:1] if turn > 4 else pixels.shape[1:2]), pixels.shape[2])


def make(path: Path, name: str, pixels: np.ndarray, icc: bytes | None, turn: int) -> None:
    exif = Image.Exif()
    exif[274] = turn
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if name.startswith("tiff"):
        planar = name.endswith("planar") and pixels.shape[2] > 1
        tifffile.imwrite(
            path,
            np.moveaxis(pixels, 2, 0) if planar else flat,
            photometric="rgb" if pixels.shape[2] > 2 else "minisblack",
            planarconfig=None if pixels.shape[2] == 1 else "separate" if planar else "contig",
            extrasamples=["unassalpha"] if pixels.shape[2] in (2, 4) else None,
            tile=(16, 16) if name.endswith("tiles") else None,
            iccprofile=icc,
            extratags=[(274, 3, 1, turn, True)],
        )
    elif name.startswith("heic"):
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]] + (";16" if name == "heic10" else "")
        shifted = pixels << 6 if name == "heic10" else pixels
        file = pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), shifted.tobytes())
        file.save(path, quality=100, chroma=444, exif=exif.tobytes(), icc_profile=icc)
    elif name in ("png16", "avif10"):
        deep = pixels << 6 if name == "avif10" else pixels
        gray = pixels.shape[2] < 3
        image = pyvips.Image.new_from_array(np.ascontiguousarray(deep), interpretation="grey16" if gray else "rgb16")
        image = image.copy()
        if icc:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
        image.set_type(pyvips.GValue.gint_type, "orientation", turn)
        if name == "png16":
            image.pngsave(str(path))
        else:
            image.heifsave(str(path), compression="av1", bitdepth=10, Q=100, effort=0, subsample_mode="off")
    else:
        form, more = {
            "jpeg": ("JPEG", {"quality": 100, "subsampling": 0}),
            "png8": ("PNG", {}),
            "webp": ("WEBP", {"lossless": True, "exact": True}),
            "avif8": ("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 10}),
        }[name]
        more |= {"icc_profile": icc} if icc else {}
        Image.fromarray(flat).save(path, form, exif=exif, **more)


def name_of(case: tuple[str, str, bool, int]) -> str:
    return "-".join(map(str, case))


@pytest.mark.parametrize("case", GRID[::13], ids=name_of)
def test_some_round_trips(tmp_path: Path, case: tuple[str, str, bool, int]) -> None:
    check(tmp_path, case)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("LIMPID_FULL_GRID") != "1", reason="runs with LIMPID_FULL_GRID=1")
@pytest.mark.parametrize("case", GRID, ids=name_of)
def test_all_round_trips(tmp_path: Path, case: tuple[str, str, bool, int]) -> None:
    check(tmp_path, case)


def check(tmp_path: Path, case: tuple[str, str, bool, int]) -> None:
    name, space, alpha, turn = case
    bits = 16 if "16" in name else 10 if "10" in name else 8
    pixels, icc = picture((1 if space == "gray" else 3) + alpha, bits), profile(space)
    path = tmp_path / "photo"
    make(path, name, pixels, icc, turn)
    source = pictures.read(path)
    result = write(source.pixels, source, tmp_path / "out")
    given = upright(pixels, turn)
    found = imagecodecs.imread(result)
    found = found[..., None] if found.ndim == 2 else found
    if name.startswith(LOSSY) and space == "gray" and alpha and found.shape[2] == 4:
        found = found[..., [0, 3]]  # these formats have gray with alpha as colour with alpha
    assert found.shape == given.shape and found.dtype == (np.uint8 if bits == 8 else np.uint16)
    if bits == 10:
        given = np.round(given * (65535 / 1023))
    if name.startswith(LOSSY):
        error = np.mean(((found - given.astype(float)) / np.iinfo(found.dtype).max) ** 2)
        assert 10 * np.log10(1 / max(error, 1e-12)) > 45
    else:
        assert np.array_equal(found, given)
    with Image.open(result) as image:
        assert image.info.get("icc_profile") == icc
