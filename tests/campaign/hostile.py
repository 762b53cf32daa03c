"""A seeded generator of hostile picture files: cut, flipped, lying about their size, mislabelled, odd, no pictures."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image

from tests.interface.files import scene

FORMATS = {
    "png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "gif": "GIF", "bmp": "BMP", "avif": "AVIF",
    "heic": "HEIF", "jp2": "JPEG2000", "ppm": "PPM",
}  # fmt: skip
NAMES = ("../../etc/passwd.png", "a" * 240 + ".png", "\u202egnp.exe", "-rf.png", "x\ny.png", "%00.png", "CON.png",
         ".png", "naïve 写真.png", "a;b|c&d.png", "photo.png.exe", "' OR 1=1.png")  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """A file: its name as uploaded, its bytes, and how it was made."""

    name: str
    data: bytes
    how: str


def hostile_files(count: int, seed: int = 0) -> Iterator[Hostile]:
    """Yield `count` files, the same for the same seed; every way of making one has its turn."""
    pillow_heif.register_heif_opener()
    ways = [cut, flipped, zeroed, padded, spliced, mislabelled, lying, no_picture, odd, oddly_named, tiff_loop, bomb]
    for index in range(count):
        rng = random.Random(f"{seed}-{index}")
        way: Callable[[random.Random], tuple[str, bytes, str]] = ways[index % len(ways)]
        name, data, detail = way(rng)
        yield Hostile(name, data, f"{index}: {way.__name__} {detail}")


def picture(rng: random.Random, size: tuple[int, int] = (64, 48)) -> tuple[str, bytes]:
    """A valid picture of a random format: suffix and bytes."""
    suffix = rng.choice(sorted(FORMATS))
    out = io.BytesIO()
    image = Image.fromarray(scene(size, rng.randrange(1000)))
    more = (
        {"save_all": True, "append_images": [image.rotate(90)]}
        if suffix in ("gif", "tif") and rng.random() < 0.5
        else {}
    )
    image.save(out, FORMATS[suffix], **more)
    return suffix, out.getvalue()


def cut(rng: random.Random) -> tuple[str, bytes, str]:
    suffix, data = picture(rng)
    end = rng.randrange(len(data))
    return f"cut.{suffix}", data[:end], f"{suffix} at {end} of {len(data)}"


def flipped(rng: random.Random) -> tuple[str, bytes, str]:
    suffix, data = picture(rng)
    bad = bytearray(data)
    count = rng.choice((1, 4, 30))
    for _ in range(count):
        bad[rng.randrange(min(len(bad), rng.choice((64, len(bad)))))] = rng.randrange(256)
    return f"flipped.{suffix}", bytes(bad), f"{suffix}, {count} bytes"


def zeroed(rng: random.Random) -> tuple[str, bytes, str]:
    suffix, data = picture(rng)
    start = rng.randrange(len(data))
    length = rng.randrange(1, 200)
    return f"zeroed.{suffix}", data[:start] + bytes(length) + data[start + length :], f"{suffix} {start}+{length}"


def padded(rng: random.Random) -> tuple[str, bytes, str]:
    suffix, data = picture(rng)
    tail = rng.randbytes(rng.randrange(1, 5000))
    return f"padded.{suffix}", data + tail, f"{suffix} with {len(tail)} bytes more"


def spliced(rng: random.Random) -> tuple[str, bytes, str]:
    (suffix, one), (other, two) = picture(rng), picture(rng)
    at = rng.randrange(len(one))
    return f"spliced.{suffix}", one[:at] + two[rng.randrange(len(two)) :], f"{suffix} and {other}"


def mislabelled(rng: random.Random) -> tuple[str, bytes, str]:
    suffix, data = picture(rng)
    other = rng.choice(sorted({*FORMATS, "txt", "exe", "svg", ""} - {suffix}))
    return f"named.{other}", data, f"{suffix} named {other}"


def lying(rng: random.Random) -> tuple[str, bytes, str]:
    """A PNG whose header names another size, with a right checksum."""
    out = io.BytesIO()
    Image.fromarray(scene((64, 48))).save(out, "PNG")
    data = bytearray(out.getvalue())
    width, height = rng.choice(
        ((0, 0), (1, 2**31 - 1), (65535, 65535), (640, 480), (10, 10), (2**31, 2**31), (20_000, 6_000))
    )
    data[16:24] = struct.pack(">II", width % 2**32, height % 2**32)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return "lying.png", bytes(data), f"{width} x {height}"


def no_picture(rng: random.Random) -> tuple[str, bytes, str]:
    kinds = {
        "empty": b"",
        "one byte": b"\x89",
        "text": b"I am not a picture.\n" * 20,
        "html": b"<!doctype html><script>alert(1)</script>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "pdf": b"%PDF-1.7\n1 0 obj <<>> endobj\n",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(id) run\n",
        "zip": b"PK\x03\x04" + rng.randbytes(300),
        "program": b"\x7fELF" + rng.randbytes(300),
        "noise": rng.randbytes(2000),
        "zeros": bytes(4096),
    }
    kind = rng.choice(sorted(kinds))
    return f"thing.{rng.choice(('png', 'jpg', 'tif', 'heic'))}", kinds[kind], kind


def odd(rng: random.Random) -> tuple[str, bytes, str]:
    """A valid picture of an odd kind."""
    out, rgb = io.BytesIO(), Image.fromarray(scene((rng.choice((1, 2, 63)), rng.choice((1, 3, 64))), rng.randrange(99)))
    kind = rng.choice(("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F", "LAB", "icc", "exif", "thin"))
    if kind == "icc":
        rgb.save(out, "PNG", icc_profile=rng.randbytes(400))
    elif kind == "exif":
        rgb.save(out, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + rng.randbytes(300))
    elif kind == "thin":
        Image.fromarray(scene((1, 3000))).save(out, "PNG")
    elif kind == "I;16":
        Image.fromarray(np.asarray(rgb)[..., 0].astype(np.uint16) * 257).save(out, "PNG")
    elif kind == "F":
        rgb.convert("L").convert("F").save(out, "TIFF")
    elif kind in ("CMYK", "LAB"):
        (rgb.convert("CMYK") if kind == "CMYK" else Image.new("LAB", (9, 7))).save(out, "TIFF")
    else:
        rgb.convert(kind).save(out, "PNG")
    return "odd.png", out.getvalue(), kind


def oddly_named(rng: random.Random) -> tuple[str, bytes, str]:
    name = rng.choice(NAMES)
    return name, picture(rng)[1], repr(name)


def tiff_loop(rng: random.Random) -> tuple[str, bytes, str]:
    """A TIFF whose directories point at each other, or whose strips lie elsewhere."""
    width, compression, strip = rng.choice((1, 64, 2**32 - 1)), rng.choice((1, 5, 7, 999)), rng.choice((8, 2**31, 0))
    samples, length = rng.choice((0, 1, 3, 200)), rng.choice((1, 2**31))
    tags = {256: width, 257: 48, 258: 8, 259: compression, 262: rng.randrange(9), 273: strip, 277: samples, 278: 48}
    entries = [(tag, 4, 1, value) for tag, value in {**tags, 279: length}.items()]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *one) for one in entries)
    return "loop.tif", b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", 8), "directory at itself"


def bomb(rng: random.Random) -> tuple[str, bytes, str]:
    """A PNG of few bytes and many pixels."""
    side = rng.choice((1_500, 12_000, 20_000))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * 64), 9)  # the rest is missing, too
    return (
        "bomb.png",
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""),
        f"{side} px",
    )
