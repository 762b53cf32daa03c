"""What browsers are shown of photos and results: previews, and crops with a picture's own pixels.

A picture is decoded once, to a file of plain pixels in the cache, from which every crop is cut.
"""

from __future__ import annotations

import io
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from spaces.config import Config

from interface.cache import cache_folder, require_room, root_folder
from models import memory
from models.errors import LimpidError
from plugins.host import pictures
from plugins.host.run import READING_MB

MAX_CROP_PX = 1024
"""Longest side of a crop."""
PREVIEW_PX = 2048
_decoding = threading.Lock()  # one at a time, which bounds memory
Made = TypeVar("Made")


class NotServedError(LimpidError):
    """A file that is not among the uploads and results of this server."""


@dataclass(frozen=True)
class Box:
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int


def served(path: str) -> Path:
    """Return the file of an upload or a result. Raises NotServedError for any other."""
    try:
        file = Path(path).resolve()
        if file.is_relative_to(root_folder().resolve()) and file.is_file():
            return file
    except (OSError, ValueError):
        pass
    raise NotServedError("This photo is no longer on the server: add it again.")


def crop(path: str, box: Box) -> bytes:
    """Return a part of a picture as PNG, with its own pixels: upright, 8-bit sRGB, on white. Raises LimpidError."""
    pixels = np.load(_pixels(served(path)), mmap_mode="r")
    part = pixels[box.top : box.top + min(box.height, MAX_CROP_PX), box.left : box.left + min(box.width, MAX_CROP_PX)]
    if not part.size or min(box.left, box.top) < 0:
        raise NotServedError("There is nothing of the picture in this place.")
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(part)).save(data, "PNG", compress_level=1)
    return data.getvalue()


def preview(path: str, longest: int = PREVIEW_PX) -> bytes:
    """Return a picture as JPEG, at most ``longest`` px a side: thumbnails, and formats that browsers do not show."""
    pixels = in_worker(_shown, str(served(path)), longest)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=90)
    return data.getvalue()


def _pixels(file: Path) -> Path:
    """Return the file of a picture's pixels, uint8 H x W x 3, made at the first call. Raises LimpidError."""
    made = cache_folder() / "seen" / sha256(str(file).encode()).hexdigest() / "pixels.npy"
    with _decoding:
        if not made.is_file():
            width, height = pictures.size_of(file)
            require_room(3 * width * height)
            pixels = in_worker(_shown, str(file), max(width, height))
            made.parent.mkdir(parents=True, exist_ok=True)
            part = made.with_suffix(".part.npy")
            np.save(part, pixels)
            part.replace(made)
    return made


def _shown(file: str, longest: int) -> np.ndarray:
    width, height = pictures.size_of(file)
    memory.require(READING_MB * width * height / 1e6, f"to read {width * height / 1e6:.0f} megapixels")
    source = pictures.read(file)
    return pictures.seen(source, source.samples, longest)


def in_worker(function: Callable[..., Made], *values: Any) -> Made:
    """Call a function that uses libvips, in another process where jobs run in forks of this one.

    In such forks, on ZeroGPU, libvips would wait forever for its threads of before.
    """
    if not Config.zero_gpu:
        return function(*values)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        return other.submit(function, *values).result()
