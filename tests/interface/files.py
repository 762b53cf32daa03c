"""Odd and broken picture files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

SIZE = (48, 32)  # width, height


def scene(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """A smooth picture with some texture, uint8 H x W x 3."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 200 / max(width - 1, 1), y * 200 / max(height - 1, 1), 120 + 0 * x], axis=2)
    return np.clip(smooth + np.random.default_rng(seed).normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def photo(folder: Path, name: str = "photo.png", size: tuple[int, int] = SIZE, seed: int = 0) -> Path:
    path = folder / name
    Image.fromarray(scene(size, seed)).save(path)
    return path


def bomb(path: Path, side: int = 20_000) -> Path:
    """A PNG of `side` x `side` black pixels, tens of kilobytes large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def broken(kind: str, folder: Path) -> Path:
    """A file that is not a readable picture: "text", "truncated", "empty" or "bomb"."""
    path = folder / f"{kind}.jpg"
    if kind == "text":
        path.write_text("I am not a picture.")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        Image.fromarray(scene((400, 300))).save(path, quality=95)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "bomb":
        return bomb(folder / "bomb.png")
    return path


def odd(kind: str, folder: Path) -> tuple[Path, tuple[int, int]]:
    """A picture that must work, and the (width, height) its result must have."""
    rgb = Image.fromarray(scene())
    path, size = folder / f"{kind}.png", SIZE
    if kind == "dot":
        rgb.resize((1, 1)).save(path)
        size = (1, 1)
    elif kind == "strip":
        size = (20, 6000)
        Image.fromarray(scene(size)).save(path)
    elif kind == "gif":
        path = folder / "moving.gif"
        rgb.save(path, save_all=True, append_images=[Image.fromarray(scene(seed=1))], duration=100)
    elif kind == "cmyk":
        path = folder / "cmyk.jpg"
        rgb.convert("CMYK").save(path)
    elif kind == "palette":
        rgb.quantize(64).save(path)
    elif kind == "deep":
        Image.fromarray(scene()[..., 0].astype(np.uint16) * 257).save(path)
    elif kind == "gray":
        rgb.convert("L").save(path)
    elif kind == "alpha":
        rgb.putalpha(Image.fromarray(scene(seed=2)[..., 0]))
        rgb.save(path)
    elif kind == "turned":
        path = folder / "turned.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6
        rgb.save(path, exif=exif)
        size = SIZE[::-1]
    elif kind == "heic":
        path = folder / "photo.heic"
        pillow_heif.from_pillow(rgb).save(path)
    return path, size
