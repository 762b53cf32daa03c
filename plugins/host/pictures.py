"""Reading and writing of photos: orientation, colour profile, bit depth, alpha and metadata.

A photo is processed as float32 sRGB. The *change* is then added to the photo's own samples: where nothing changed
(outside a mask, at strength 0) they stay the same, bit for bit, and colours outside of sRGB are not lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyvips

from plugins.host import encode, metadata
from plugins.host.colour import Colour
from plugins.host.container import kind_of
from plugins.host.decode import MAX_PIXELS, PictureError, decode, size_of
from plugins.host.samples import on_white, to_8_bits
from plugins.options import Format, KeepMetadata

__all__ = [
    "MAX_PIXELS", "PictureError", "Source", "browsers_show", "compose", "preview", "read", "result_name", "save_layer",
    "seen", "size_of", "stem", "write",
]  # fmt: skip

_BLOCK_PX = 1 << 18  # pixels converted at a time, which bounds memory
_CMS_BLOCK_PX = 1 << 20  # by Little-CMS, which first makes a table for every block
Weight = np.ndarray | float


@dataclass(frozen=True)
class Source:
    """A photo as read. ``samples``: upright, in its own colours, uint8 or uint16, H x W x C (C 3, or 1 for gray)."""

    path: Path
    samples: np.ndarray
    alpha: np.ndarray | None
    colour: Colour
    metadata: metadata.Metadata
    resolution: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, upright."""
        return self.samples.shape[1], self.samples.shape[0]

    @property
    def pixels(self) -> np.ndarray:
        """float32 H x W x 3, sRGB in [0, 1]; converted at each access."""
        width, height = self.size
        pixels = np.empty((height, width, 3), np.float32)
        for rows in self.blocks():
            pixels[rows] = self.colour.to_srgb(self.samples[rows])
        return pixels

    def blocks(self) -> list[slice]:
        """Return the rows that are converted together."""
        return _blocks(*self.size, _BLOCK_PX if self.colour.plain else _CMS_BLOCK_PX)


def read(path: str | Path | None, name: str | None = None) -> Source:
    """Read a photo; messages call it ``name``. Its ``notes`` say what was ignored. Raises PictureError."""
    return Source(Path(str(path)), **vars(decode(path, name)))


def browsers_show(path: str | Path) -> bool:
    """Return whether all browsers show a picture, by its content."""
    return kind_of(Path(path)) in ("jpeg", "png", "webp", "gif", "avif", "bmp")


def compose(source: Source, pixels: np.ndarray, weight: Weight = 1.0) -> np.ndarray:
    """Return the photo's samples moved towards ``pixels`` (sRGB) by ``weight`` (H x W or a number, 0 to 1).

    Where the weight is 0 they stay exactly the same.
    """
    width, height = source.size
    top = np.float32(np.iinfo(source.samples.dtype).max)
    deep = source.samples.dtype == np.uint16
    out = source.samples.copy()
    for rows in source.blocks():
        share = np.broadcast_to(np.asarray(weight, np.float32), (height, width))[rows][..., None]
        if not share.any():
            continue
        own = source.samples[rows]
        before = source.colour.to_srgb(own)
        after = np.clip(pixels[rows], 0.0, 1.0)  # from here on in place, which bounds memory
        after -= before
        after *= share
        after += before
        value = source.colour.from_srgb(after, deep)
        value -= source.colour.from_srgb(before, deep)
        value *= top
        value += own
        np.clip(np.round(value, out=value), 0, top, out=value)
        np.copyto(out[rows], value, where=share > 0, casting="unsafe")
    return out


def write(
    samples: np.ndarray,
    source: Source,
    folder: str | Path,
    format: Format,
    keep_metadata: KeepMetadata,
    notes: list[str] | None = None,
) -> Path:
    """Write a restored photo's samples, in the photo's own colours, as ``result_name`` in ``folder``; return its path.

    What the format cannot hold is added to ``notes``. Raises PictureError.
    """
    width, height = source.size
    encode.check(format, width, height)
    losses: list[str] = []
    kept = metadata.to_keep(source.metadata, keep_metadata, width, height, losses)
    kept = replace(kept, resolution=source.resolution)
    path = Path(folder) / result_name(source.path, format)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        space = source.colour
        losses += encode.save(path, format, samples, source.alpha, space.icc, kept, space.hdr)
    except OSError as error:
        raise PictureError(f"The result could not be written: {error.strerror or error}.") from error
    if notes is not None:
        notes.extend(losses)
    return path


def result_name(path: str | Path, format: Format = "png") -> str:
    """Return the name of the restored file of a photo, for "IMG_1.HEIC" "IMG_1-restored.png"."""
    return f"{stem(path)}-restored{encode.SUFFIXES[format]}"


def stem(path: str | Path) -> str:
    """Return a photo's name without suffix or leading dots, short enough for every file system."""
    return os.fsencode(Path(path).stem)[:150].decode(errors="ignore").lstrip(".") or "photo"


def preview(source: Source, samples: np.ndarray, path: Path, longest: int = 2048) -> Path:
    """Write samples of the photo as an 8-bit sRGB JPEG, at most ``longest`` px a side, for browsers; return path."""
    encode.save(path, "jpeg", seen(source, samples, longest), None)
    return path


def seen(source: Source, samples: np.ndarray, longest: int) -> np.ndarray:
    """Return samples of the photo as screens show them: uint8 H x W x 3, sRGB on white, at most ``longest`` a side."""
    small = replace(source, samples=_shrink(samples, longest))
    pixels = to_8_bits(small.pixels)
    if source.alpha is not None:
        pixels = on_white(pixels, to_8_bits(_shrink(source.alpha[..., None], longest)[..., 0]))
    return pixels


def _shrink(values: np.ndarray, longest: int) -> np.ndarray:
    """Shrink H x W x C to at most ``longest`` a side."""
    height, width = values.shape[:2]
    if max(width, height) <= longest:
        return values
    image = pyvips.Image.new_from_array(np.ascontiguousarray(values), interpretation="multiband")
    image = image.resize(
        max(1 / width, longest / max(width, height)), vscale=max(1 / height, longest / max(width, height))
    )
    return image.numpy().reshape(image.height, image.width, -1)


def save_layer(layer: np.ndarray, path: Path) -> Path:
    """Write a layer (H x W x 3 or H x W, floats in [0, 1]) as an 8-bit sRGB PNG; return ``path``."""
    pixels = np.empty(layer.shape, np.uint8)
    for rows in _blocks(layer.shape[1], layer.shape[0], _BLOCK_PX):
        pixels[rows] = to_8_bits(layer[rows])
    encode.save(path, "png", pixels[..., None] if pixels.ndim == 2 else pixels, None)
    return path


def _blocks(width: int, height: int, pixels: int) -> list[slice]:
    rows = max(1, pixels // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
