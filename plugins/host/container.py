"""What pictures' files say that no library tells, and what no library writes: chunks of PNG, segments of JPEG."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from plugins.host.colour import Said

JPEG_END = b"\xff\xd9"
_KINDS = {
    "raw": rb"FUJIFILMCCD-RAW|IIU\0|IIRO|IIRS|MMOR|FOVb|\0MRM|.{6}HEAPCCDR|II\*\0.{4}CR",  # Canon's, Fujifilm's, …
    "tiff": rb"II[*+]\0|MM\0[*+]",
    "png": rb"\x89PNG",
    "jpeg": rb"\xff\xd8\xff",
    "gif": rb"GIF8",
    "webp": rb"RIFF.{4}WEBP",
    "jp2": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "ppm": rb"P[1-6]\s",
    "bmp": rb"BM.{4}\0\0\0\0",
}
_BRANDS = [
    ("raw", {b"crx "}),
    ("heif", {b"heic", b"heix", b"heim", b"heis"}),
    ("avif", {b"avif", b"avis"}),
    ("heif", {b"mif1", b"msf1", b"hevc", b"hevx"}),  # which AVIF may have, too
]


def kind_of(path: Path) -> str:
    """Return what a file holds, by its first bytes: "jpeg", "heif", "avif", "raw", …, or "" if it is no picture."""
    if found := brands(path):
        return next((kind for kind, known in _BRANDS if found & known), "")
    with path.open("rb") as file:
        head = file.read(32)
    return next((kind for kind, start in _KINDS.items() if re.match(start, head, re.DOTALL)), "")


def brands(path: Path) -> set[bytes]:
    """Return the brands of a file of the HEIF family; none if it is of another."""
    with path.open("rb") as file:
        head = file.read(128)
    end = min(len(head), int.from_bytes(head[:4])) if head[4:8] == b"ftyp" else 0
    return {head[at : at + 4] for at in range(8, end, 4)}


def png_chunks(path: Path) -> dict[bytes, bytes]:
    """Return the kinds of chunks in a PNG file, with the contents of small ones; damage ends the list."""
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, end = int.from_bytes(head[:4]), file.tell() + int.from_bytes(head[:4]) + 4
            found.setdefault(head[4:], file.read(size) if size < 256 else b"")
            file.seek(end)
    return found


def png_colours(chunks: dict[bytes, bytes], icc: bytes | None) -> Said:
    """Return what a PNG file says of its colours; the order is that of the standard's third edition, 4.3."""
    if len(cicp := chunks.get(b"cICP", b"")) == 4 and cicp[2:] == b"\0\1":
        return Said(cicp=(cicp[0], cicp[1]))
    if icc or b"sRGB" in chunks or b"iCCP" in chunks:
        icc = b"" if icc is None and b"iCCP" in chunks else icc  # libpng drops what it cannot read
        return Said(icc)
    gamma, points = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    numbers = struct.unpack(">8I", points) if len(points) == 32 else ()
    return Said(
        gamma=100_000 / max(1, int.from_bytes(gamma)) if len(gamma) == 4 else None,
        chromaticities=tuple(number / 100_000 for number in numbers) or None,
    )


def has_gain_map(path: Path, xmp: bytes | None) -> bool:
    """Return whether a JPEG file has a second picture from which displays make an HDR picture."""
    with path.open("rb") as file:
        return b"hdrgm:Version" in (xmp or b"") or b"urn:iso:std:iso:ts:21496" in file.read(1 << 20)


def png_with(png: bytes, chunks: list[tuple[bytes, bytes]], *, sized: bool) -> bytes:
    """Return a PNG file with chunks put in front of its others; without the print resolution if it is not ``sized``."""
    head, at = 33, png.find(b"pHYs", 33, 1 << 16) - 4  # the signature and IHDR; libvips writes the resolution always
    made = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    rest = png[head:] if sized or at < 0 else png[head:at] + png[at + 21 :]
    return png[:head] + made + rest
