"""Pictures and files for the tests of kinds of picture files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import PngImagePlugin

from plugins.host import pictures
from plugins.host.pictures import Source
from tests.plugins.fakes import write

H, W = 60, 80
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
"""Display P3's primaries: x and y of red, green and blue."""


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
