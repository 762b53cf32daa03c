"""Encoding of samples to PNG, JPEG, WebP or TIFF files, in 16 bits where the format has them, with their metadata.

libvips writes pixels, profile, XMP and IPTC. EXIF is put in as it is: libvips would have libexif add and alter tags.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import tifftools
from PIL import Image

from plugins.host import container
from plugins.host.decode import PictureError
from plugins.host.metadata import EXIF_IFD, IPTC, USER_COMMENT, Kept, iptc_block, read
from plugins.host.samples import on_white, to_8_bits
from plugins.options import Format

SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
MAX_SIDES_PX: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383}
_SAVE_OPTIONS: dict[Format, dict[str, Any]] = {
    "png": {"compression": 2, "filter": "up"},  # for photos half the default's time, and no larger
    "jpeg": {"Q": 95, "subsample_mode": "off"},
    "tiff": {"compression": "lzw", "predictor": "horizontal", "resunit": "inch"},
    "webp": {"lossless": True, "exact": True, "quality": 0, "method": 0},  # lossless; quality and method set the effort
}
_KEEP = 2 | 4 | 8  # XMP, IPTC, ICC of VipsForeignKeep


def check(format: Format, width: int, height: int) -> None:
    """Raise PictureError if the format cannot hold a picture of that size. Call it before the work."""
    limit = MAX_SIDES_PX.get(format)
    if limit is not None and max(width, height) > limit:
        raise PictureError(
            f"{format.upper()} holds at most {limit} pixels a side and this picture is {width} x {height}: "
            "use png or tiff."
        )


def save(
    path: Path,
    format: Format,
    samples: np.ndarray,
    alpha: np.ndarray | None,
    icc: bytes | None = None,
    kept: Kept | None = None,
    hdr: tuple[int, int] | None = None,
) -> list[str]:
    """Write H x W x C samples (uint8 or uint16, C 1 or 3) with H x W alpha; return notes on what was lost.

    ``hdr``: primaries and transfer of H.273, which PNG has in place of a profile. Raises OSError.
    """
    notes: list[str] = []
    kept = _fitting(format, kept or Kept(), notes)
    if alpha is not None and format == "jpeg":
        notes.append("JPEG has no transparency: the picture was put on a white ground.")
        samples, alpha = on_white(samples, alpha), None
    if samples.dtype == np.uint16 and format in ("jpeg", "webp"):
        notes.append(f"{format.upper()} has 8 bits a colour: the picture's 16 were rounded.")
        samples, alpha = to_8_bits(samples), None if alpha is None else to_8_bits(alpha)
    if hdr and format != "png":
        notes.append(f"{format.upper()} cannot say that a picture is HDR: its profile shows it tone-mapped.")
    pixels = samples if alpha is None else np.concatenate([samples, alpha[..., None]], axis=2)
    if format == "webp":
        more = {"icc_profile": icc, "exif": kept.exif and b"Exif\0\0" + kept.exif, "xmp": kept.xmp}
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        picture.save(path, "WEBP", **_SAVE_OPTIONS["webp"], **{name: value for name, value in more.items() if value})
        return notes
    space = ("b-w", "grey16") if samples.shape[2] == 1 else ("srgb", "rgb16")
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=space[samples.dtype == np.uint16])
    across, down = kept.resolution or (1.0, 1.0)
    image = image.copy(xres=across, yres=down)
    image.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    blobs = {"icc-profile-data": None if hdr and format == "png" else icc}
    blobs["xmp-data"] = None if format == "png" else kept.xmp  # which is to be legible in PNG, not compressed
    blobs["iptc-data"] = b"Photoshop 3.0\0" + iptc_block(kept.iptc) if kept.iptc and format == "jpeg" else None
    for name, blob in blobs.items():
        if blob:
            image.set_type(pyvips.GValue.blob_type, name, blob)
    try:
        data = image.write_to_buffer(SUFFIXES[format], keep=_KEEP, **_SAVE_OPTIONS[format])
    except pyvips.Error as error:
        raise OSError(" ".join(str(error).split())) from error
    _FINISH[format](path, data, kept, hdr)
    return notes


def _fitting(format: Format, kept: Kept, notes: list[str]) -> Kept:
    """Return the metadata that the format can hold; note what it cannot."""
    for name in ("exif", "xmp", "iptc"):
        part = getattr(kept, name)
        if part and (len(part) > 65_400 if format == "jpeg" else (format, name) == ("webp", "iptc")):
            notes.append(f"The photo's {name.upper()} does not fit into {format.upper()} and was not kept.")
            lost: dict[str, Any] = {name: None if name != "exif" else b""}
            kept = replace(kept, **lost)
    return kept


def _finish_jpeg(path: Path, data: bytes, kept: Kept, hdr: tuple[int, int] | None) -> None:
    density = [round(value * 25.4) for value in kept.resolution or ()] or [1, 1]  # per inch
    parts = [(0xE0, b"JFIF\0\1\1" + struct.pack(">BHHH", kept.resolution is not None, *density, 0))]
    parts += [(0xE1, b"Exif\0\0" + kept.exif)] if kept.exif else []
    made = b"".join(struct.pack(">BBH", 0xFF, marker, len(part) + 2) + part for marker, part in parts)
    path.write_bytes(data[:2] + made + data[2:])  # libvips writes no JFIF where it writes no EXIF


def _finish_png(path: Path, data: bytes, kept: Kept, hdr: tuple[int, int] | None) -> None:
    chunks = [(b"cICP", bytes((*hdr, 0, 1)))] if hdr else []
    chunks += [(b"eXIf", kept.exif)] if kept.exif else []
    chunks += [(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + kept.xmp)] if kept.xmp else []
    if kept.iptc:  # in the form of ImageMagick and ExifTool
        block = iptc_block(kept.iptc)
        text = f"\niptc\n{len(block):8}\n{block.hex()}\n".encode()
        chunks.append((b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)))
    path.write_bytes(container.png_with(data, chunks, sized=kept.resolution is not None))


def _finish_tiff(path: Path, data: bytes, kept: Kept, hdr: tuple[int, int] | None) -> None:
    info = tifftools.read_tiff(io.BytesIO(data))
    tags = info["ifds"][0]["tags"]
    if kept.exif:
        exif = read(kept.exif)
        comment = exif.sub(EXIF_IFD).get(USER_COMMENT, {"data": b""})
        if exif.big_endian and comment["data"][:8] == b"UNICODE\0":  # text in the byte order of the file
            comment["data"] = b"UNICODE\0" + np.frombuffer(comment["data"][8:], ">u2").astype("<u2").tobytes()
        tags |= {tag: value for tag, value in exif.exif.items() if tag not in tags}
    if kept.iptc:
        tags[IPTC] = {"datatype": 1, "data": kept.iptc}
    if not kept.resolution:
        tags |= {tag: {"datatype": 5, "data": [1, 1]} for tag in (282, 283)} | {296: {"datatype": 3, "data": [1]}}
    tifftools.write_tiff(info, path, allowExisting=True)


_FINISH = {"jpeg": _finish_jpeg, "png": _finish_png, "tiff": _finish_tiff}
