"""Readers of picture files, one for each library: libvips, pillow-heif, LibRaw, tifffile, Pillow."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pyvips
from PIL import Image

from plugins.host import container, metadata
from plugins.host.colour import Said, lab_to_srgb
from plugins.host.metadata import Metadata

for library in ("pyvips", "tifffile", "tifftools"):
    logging.getLogger(library).setLevel(logging.CRITICAL)  # what is wrong with a file is told in notes and errors
pyvips.block_untrusted_set(True)
pyvips.cache_set_max(0)  # it knows files by name: a new file of that name would give the old picture
_RAW_PHOTOMETRICS = (32803, 34892)  # colour filter array, linear raw
_DNG_VERSION, _LAB = 50706, 8
_LIBVIPS_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
CONVERTED = {"cmyk": "CMYK", "labs": "Lab"}  # libvips's names of what most formats do not have
EXTRA = "has several extra channels; the first was kept as alpha."
MAX_PAGES = 20  # of a TIFF file, that are looked at
GAIN_MAP = "has a gain map for HDR displays, which was dropped."


class RefusedError(Exception):
    """What is wrong with a picture, as the rest of a sentence that begins with its name."""


@dataclass
class Opened:
    """A picture of which the header was read. ``size``: (width, height) as stored.

    ``pixels``: decodes to uint8 or uint16, H x W (x C), C 1 to 4; the second or fourth is alpha.
    ``turn``: orientation to be applied, 1 to 8. ``resolution``: pixels per mm (x, y). ``notes``: without subject.
    """

    size: tuple[int, int]
    pixels: Callable[[], np.ndarray]
    says: Said = field(default_factory=Said)
    turn: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    resolution: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)


def open_file(path: Path) -> Opened:
    """Read the header of a picture file. Raises RefusedError, or what the libraries raise for damaged files."""
    kind = container.kind_of(path)
    if kind == "heif":
        return _open_heif(path)
    if kind == "raw":
        return _open_raw(path)
    if kind == "tiff":
        return _open_tiff(path)
    return _open_vips(path, kind) if kind in ("jpeg", "png", "webp", "gif", "avif") else _open_pillow(path)


def _open_vips(path: Path, kind: str, **options: Any) -> Opened:
    load = getattr(pyvips.Image, {"avif": "heif"}.get(kind, kind) + "load")
    image = load(os.fsencode(path), access="sequential", fail_on="error" if kind == "tiff" else "truncated", **options)

    def get(name: str) -> Any:
        return image.get(name) if image.get_typeof(name) else None

    notes: list[str] = []
    icc, xmp = get("icc-profile-data"), get("xmp-data")
    told = metadata.read(get("exif-data"), xmp, get("iptc-data") or _raw_profile(image))
    opened = Opened((image.width, image.height), lambda: _samples(image, notes), notes=notes, metadata=told)
    opened.says = Said(None if image.interpretation in CONVERTED else icc)
    if kind == "png" or (kind == "jpeg" and get("resolution-unit")):
        opened.resolution = image.xres, image.yres
    if kind != "avif":
        opened.turn = get("orientation") or 1
    if kind == "png":
        chunks = container.png_chunks(path)
        opened.says = container.png_colours(chunks, icc)
        opened.resolution = opened.resolution if chunks.get(b"pHYs", b"")[8:] == b"\1" else None  # per metre
        notes += ["is animated; its first frame was used."] * (b"acTL" in chunks)
        notes += ["lacks its end, though no pixels."] * (b"IEND" not in chunks)
    elif kind == "jpeg":
        opened.pixels = lambda: _jpeg_samples(path, image, notes)
        if container.has_gain_map(path, xmp):
            notes.append(GAIN_MAP)
    elif kind == "avif":
        file = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)  # which knows more of it, but has no decoder
        _add_heif_facts(opened, file, path)
        if file.mode.startswith(("L", "I")):
            opened.pixels = lambda: _samples(image, notes)[..., [0, *range(3, image.bands)]]
    if kind != "tiff" and (get("n-pages") or 1) > 1:
        notes.append("is animated; its first frame was used.")
    return opened


def _jpeg_samples(path: Path, image: pyvips.Image, notes: list[str]) -> np.ndarray:
    try:
        return _samples(image, notes)
    except pyvips.Error as error:
        data = path.read_bytes()
        if "precision" in str(error):  # 12 bits
            return _to_16_bits(imagecodecs.jpeg8_decode(data), 12)
        if container.JPEG_END in data[-2:]:
            raise
        data = data.rstrip(b"\0")
        image = pyvips.Image.jpegload_buffer(data + container.JPEG_END, access="sequential", fail_on="warning")
        found = _samples(image, notes)
        notes.append("lacks its end, though no pixels.")
        return found


def _samples(image: pyvips.Image, notes: list[str]) -> np.ndarray:
    """Return an image's samples: CMYK and Lab in sRGB, fewer bits than 16 in 16, and at most one extra channel."""
    space, deep = image.interpretation, image.format == "ushort"
    colours = {"b-w": 1, "grey16": 1, "cmyk": 4}.get(space, 3 if image.bands > 2 else 1)
    if image.bands > colours + 1:
        notes.append(EXTRA)
        image = image[: colours + 1]
    if space in CONVERTED:
        notes.append(f"is in {CONVERTED[space]}; it was converted to sRGB.")
        image = _cmyk_in_srgb(image, deep) if space == "cmyk" else image.colourspace("rgb16")
    if image.format not in ("uchar", "ushort"):
        raise RefusedError(f"holds values of the type {image.format}: save it with 8 or 16 bits a colour.")
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 16
    return _to_16_bits(image.numpy(), bits, shifted=True) if image.format == "ushort" and bits < 16 else image.numpy()


def _cmyk_in_srgb(image: pyvips.Image, deep: bool) -> pyvips.Image:
    if image.get_typeof("icc-profile-data"):
        return image.icc_transform("srgb", embedded=True, intent="relative", depth=16 if deep else 8)
    values = (image >> 8).cast("uchar") if deep else image  # without a profile: as browsers show it
    picture = np.asarray(Image.fromarray(values[:4].numpy(), "CMYK").convert("RGB"))
    return pyvips.Image.new_from_array(picture, interpretation="srgb")


def _to_16_bits(values: np.ndarray, bits: int, *, shifted: bool = False) -> np.ndarray:
    """Scale values of ``bits`` bits to 16; ``shifted``: they are in the high bits already."""
    scaled = np.round(np.linspace(0, 65535, 1 << bits)).astype(np.uint16)
    return scaled[values >> (16 - bits) if shifted else values]


def _straight(values: np.ndarray) -> np.ndarray:
    """Divide colours by the last channel, alpha, with which they were multiplied."""
    most = np.iinfo(values.dtype).max
    image = pyvips.Image.new_from_array(np.ascontiguousarray(values)).unpremultiply(max_alpha=float(most))
    return np.round(np.clip(image.numpy(), 0, most)).astype(values.dtype)


def _unit_to_16_bits(values: np.ndarray, notes: list[str]) -> np.ndarray:
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise RefusedError("holds floating-point values outside of 0 to 1: save it with 8 or 16 bits a colour.")
    notes.append("holds floating-point values, which were rounded to 16 bits.")
    return np.round(values.astype(np.float32) * np.float32(65535)).astype(np.uint16)


def _raw_profile(image: pyvips.Image) -> bytes | None:
    """Return IPTC that a PNG file has as hexadecimal text, in the form of ImageMagick and ExifTool."""
    for name in image.get_fields():
        if name.startswith("png-comment-") and name.endswith("Raw profile type iptc"):
            return bytes.fromhex("".join(image.get(name).split()[2:]))
    return None


def _open_heif(path: Path) -> Opened:
    file = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)

    def pixels() -> np.ndarray:
        values = np.asarray(file)
        values = _straight(values) if file.premultiplied_alpha else values
        return _to_16_bits(values, file.info["bit_depth"], shifted=True) if values.dtype == np.uint16 else values

    return _add_heif_facts(Opened(file.size, pixels), file, path)


def _add_heif_facts(opened: Opened, file: pillow_heif.HeifFile, path: Path) -> Opened:
    info = file.info
    icc, nclx = info.get("icc_profile") or None, info.get("nclx_profile")
    cicp = (nclx["color_primaries"], nclx["transfer_characteristics"]) if nclx and icc is None else None
    opened.says = Said(icc, cicp)
    opened.metadata = metadata.read(info.get("exif"), info.get("xmp"))
    if "gain" in str(info.get("aux", "")).lower() or b"tmap" in container.brands(path):
        opened.notes.append(GAIN_MAP)
    return opened


def _open_raw(path: Path) -> Opened:
    import rawpy

    try:
        with rawpy.imread(str(path)) as raw:
            size = raw.sizes.width, raw.sizes.height
            turned = raw.sizes.flip in (5, 6)
    except rawpy.LibRawError as error:
        raise RefusedError(f"is a raw file that cannot be developed ({error}): export it as TIFF or DNG.") from error

    def develop() -> np.ndarray:
        with rawpy.imread(str(path)) as raw:  # to sRGB, upright
            return raw.postprocess(use_camera_wb=True, output_bps=16, gamma=(2.4, 12.92))

    told = metadata.read(path)
    note = "is a raw file; it was developed with the camera's white balance, to 16-bit sRGB."
    return Opened(size[::-1] if turned else size, develop, metadata=Metadata() if told.damaged else told, notes=[note])


def _open_tiff(path: Path) -> Opened:
    import tifffile

    with tifffile.TiffFile(path) as file:
        pages: list[Any] = list(file.pages[:MAX_PAGES])
        parts = [*({"page": index} for index in range(len(pages)))]
        parts += [{"subifd": index} for index in range(len(pages[0].pages or ()))]
        found = list(zip(parts, [*pages, *(pages[0].pages or ())], strict=True))
        if any(page.photometric in _RAW_PHOTOMETRICS or _DNG_VERSION in page.tags for _, page in found):
            return _open_raw(path)
        part, page = next((one for one in found if not one[1].is_reduced), found[0])  # no preview
        if _libvips_reads(page):
            opened = _open_vips(path, "tiff", **part)
        else:
            opened = Opened((page.imagewidth, page.imagelength), lambda: _tifffile_samples(path, part, opened.notes))
            opened.says = Said(page.tags.valueof(34675))
        if sum(not page.is_reduced for page in pages) > 1:
            opened.notes.append("has several pages; the first was used.")
    opened.metadata = metadata.read(path)
    opened.turn = opened.metadata.orientation
    return opened


def _libvips_reads(page: Any) -> bool:
    """Return whether libvips reads a TIFF page right: not 8-bit Lab, planes, or few bits of several colours."""
    bits, many = np.max(page.bitspersample), page.samplesperpixel > 1
    usual = bits in (8, 16) or (bits in (1, 2, 4) and not many)
    planes, lab = many and page.planarconfig == 2, page.photometric == _LAB and bits == 8
    return page.sampleformat == 1 and usual and not planes and not lab and page.compression in _LIBVIPS_COMPRESSIONS


def _tifffile_samples(path: Path, part: dict[str, int], notes: list[str]) -> np.ndarray:
    """Return the samples of a page that libvips does not read, by tifffile."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        first: Any = file.pages[part.get("page", 0)]
        page = first.pages[part["subifd"]] if "subifd" in part else first
        values, bits = page.asarray(), int(np.max(page.bitspersample))
    kind, space = values.dtype.kind, page.photometric
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, 2)
    if space == _LAB and bits == 8:
        notes.append("is in Lab; it was converted to sRGB.")
        return lab_to_srgb(values[..., :3])
    if space not in (0, 1, 2) or not (kind == "f" or (kind == "u" and bits <= 16)):
        raise RefusedError(
            f"holds {values.dtype} values of a kind that is not read: save it with 8 or 16 bits a colour."
        )
    if kind == "f":
        values = _unit_to_16_bits(values, notes)
    elif bits != 8:
        values = _to_16_bits(values, bits)
    colours = 3 if space == 2 else 1
    if space == 0:  # white is zero; alpha is not
        values = np.where(np.arange(values.shape[-1]) < 1, ~values, values) if values.ndim == 3 else ~values
    if values.ndim == 3 and values.shape[2] > colours + 1:
        notes.append(EXTRA)
    if page.extrasamples and page.extrasamples[0] == 1:
        values = _straight(values)
    return values if values.ndim == 2 else values[..., : colours + 1]


def _open_pillow(path: Path) -> Opened:
    image = Image.open(path, formats=("BMP", "PPM", "JPEG2000"))

    def pixels() -> np.ndarray:
        tile: Any = image.tile[0]
        data = path.read_bytes()
        if image.format == "JPEG2000" and (bits := (data[data.index(b"\xff\x51") + 40] & 127) + 1) > 8:
            return _to_16_bits(imagecodecs.jpeg2k_decode(data), bits)
        if image.mode == "RGB" and tile.codec_name.startswith("ppm") and tile.args[1] > 255:  # Pillow keeps 8 bits
            if tile.codec_name != "ppm":
                raise RefusedError("has 16 bits a colour as text: save it as PNG or TIFF.")
            values = np.frombuffer(data, ">u2", image.width * image.height * 3, tile.offset)
            values = values.reshape(image.height, image.width, 3)
            return np.round(values * (65535 / tile.args[1])).astype(np.uint16)
        if image.mode == "F":
            raise RefusedError("holds floating-point values: save it with 8 or 16 bits a colour.")
        if image.mode.startswith("I"):
            return np.asarray(image).astype(np.uint16)
        known = {"L", "LA", "RGB", "RGBA"}
        return np.asarray(image if image.mode in known else image.convert("L" if image.mode == "1" else "RGB"))

    return Opened(image.size, pixels, Said(image.info.get("icc_profile")))
