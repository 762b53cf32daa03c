"""Encoding of samples to PNG, JPEG, WebP or TIFF files, in 16 bits where the format has them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from plugins.host.decode import PictureError
from plugins.host.samples import on_white, to_8_bits
from plugins.options import Format

SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
MAX_SIDES_PX: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383}
_SAVE_OPTIONS: dict[Format, dict[str, Any]] = {
    "png": {
        "compress_level": 1,
        "compress_type": zlib.Z_RLE,
    },  # for photos a sixth of the default's time, and no larger
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True, "exact": True, "quality": 0, "method": 0},  # lossless; quality and method set the effort
    "tiff": {"compression": "tiff_adobe_deflate"},
}


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
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> list[str]:
    """Write H x W x C samples (uint8 or uint16, C 1 or 3) with H x W alpha; return notes on what was lost."""
    notes: list[str] = []
    deep = samples.dtype == np.uint16
    if alpha is not None and format == "jpeg":
        notes.append("JPEG has no transparency: the picture was put on a white ground.")
        samples, alpha = on_white(samples, alpha), None
    if deep and format in ("jpeg", "webp"):
        notes.append(f"{format.upper()} has 8 bits a colour: the picture's 16 were rounded.")
        samples, alpha, deep = to_8_bits(samples), None if alpha is None else to_8_bits(alpha), False
    if exif is not None and (len(exif) > 65_533 and format == "jpeg" or deep and format == "tiff"):
        notes.append("The photo's EXIF does not fit into this format and was not kept.")
        exif = None
    pixels = samples if alpha is None else np.concatenate([samples, alpha[..., None]], axis=2)
    if deep and format == "png":
        path.write_bytes(_png16(pixels, icc, exif, xmp))
        return notes
    if deep:
        _tiff16(path, pixels, icc, xmp)
        return notes
    more: dict[str, Any] = {name: value for name, value in (("icc_profile", icc), ("exif", exif)) if value}
    if xmp and format == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        more["pnginfo"] = info
    elif xmp and format == "tiff":
        tags = Image.Exif()
        tags.load(exif or b"")
        tags[700] = xmp
        more["exif"] = tags.tobytes()
    elif xmp and format == "jpeg" and len(xmp) > 65_000:
        notes.append("The photo's XMP does not fit into JPEG and was not kept.")
    elif xmp:
        more["xmp"] = xmp
    more |= _SAVE_OPTIONS[format]
    if format == "tiff" and "exif" in more:
        more["compression"] = "raw"  # libtiff, needed to compress, does not write EXIF sub-directories
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path, format.upper(), **more)
    return notes


def _png16(pixels: np.ndarray, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Encode a 16-bit PNG (Pillow writes gray ones only) with filter "Up". Source: PNG, third edition."""
    height, width, channels = pixels.shape
    out = io.BytesIO()
    out.write(b"\x89PNG\r\n\x1a\n")

    def chunk(kind: bytes, data: bytes) -> None:
        out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))
    if icc:
        chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if exif:
        chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    if xmp:
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    above = np.zeros((1, width * channels * 2), np.uint8)
    for top in range(0, height, 64):  # in bands, to bound memory
        band = np.ascontiguousarray(pixels[top : top + 64].astype(">u2")).view(np.uint8).reshape(-1, above.shape[1])
        rows = np.full((len(band), above.shape[1] + 1), 2, np.uint8)  # filter type 2, "Up"
        rows[:, 1:] = band - np.concatenate([above, band[:-1]])
        above = band[-1:]
        if data := packer.compress(rows.tobytes()):
            chunk(b"IDAT", data)
    chunk(b"IDAT", packer.flush())
    chunk(b"IEND", b"")
    return out.getvalue()


def _tiff16(path: Path, pixels: np.ndarray, icc: bytes | None, xmp: bytes | None) -> None:
    import tifffile  # comes with scikit-image

    gray, clear = pixels.shape[2] < 3, pixels.shape[2] in (2, 4)
    tifffile.imwrite(
        path,
        pixels[..., 0] if pixels.shape[2] == 1 else pixels,
        photometric="minisblack" if gray else "rgb",
        planarconfig="contig" if pixels.shape[2] > 1 else None,
        extrasamples=["unassalpha"] if clear else None,
        compression="zlib",
        predictor=True,
        iccprofile=icc,
        extratags=[(700, 1, len(xmp), xmp, True)] if xmp else (),
        software=False,
        metadata=None,
    )
