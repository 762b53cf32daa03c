"""Reading and writing of photos: orientation, colour profile, bit depth, alpha and metadata.

A photo is processed as float32 sRGB. The *change* is then added to the photo's own samples: where nothing changed
(outside a mask, at strength 0) they stay the same, bit for bit, and colours outside of sRGB are not lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from plugins.host import encode, metadata
from plugins.host.colour import Colour, ProfileError, SrgbColour, colour_of
from plugins.host.decode import MAX_PIXELS, PictureError, decode, size_of
from plugins.host.samples import on_white, to_8_bits
from plugins.options import Format, KeepMetadata

__all__ = [
    "MAX_PIXELS", "PictureError", "Source", "compose", "preview", "read", "result_name", "save_layer", "size_of",
    "stem", "write",
]  # fmt: skip

_BLOCK_PX = 1 << 20  # pixels converted at a time, which bounds memory
Weight = np.ndarray | float


@dataclass(frozen=True)
class Source:
    """A photo as read. ``samples``: upright, in its own colours, uint8 or uint16, H x W x C (C 3, or 1 for gray)."""

    path: Path
    samples: np.ndarray
    alpha: np.ndarray | None
    icc: bytes | None
    colour: Colour
    exif: Image.Exif
    xmp: bytes | None
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
        for rows in _blocks(width, height):
            pixels[rows] = self._srgb(self.samples[rows])
        return pixels

    def _srgb(self, samples: np.ndarray) -> np.ndarray:
        return self.colour.to_srgb(samples.astype(np.float32) / np.float32(np.iinfo(self.samples.dtype).max))


def read(path: str | Path | None, name: str | None = None) -> Source:
    """Read a photo; messages call it ``name``. Its ``notes`` say what was ignored. Raises PictureError."""
    decoded = decode(path, name)
    notes, icc = list(decoded.notes), decoded.icc
    colour: Colour
    try:
        colour = colour_of(icc, gray=decoded.samples.shape[2] == 1)
    except ProfileError as error:
        notes.append(f"The colour profile was ignored: {error}.")
        icc, colour = None, colour_of(None, gray=decoded.samples.shape[2] == 1)
    return Source(Path(str(path)), decoded.samples, decoded.alpha, icc, colour, decoded.exif, decoded.xmp, notes)


def compose(source: Source, pixels: np.ndarray, weight: Weight = 1.0) -> np.ndarray:
    """Return the photo's samples moved towards ``pixels`` (sRGB) by ``weight`` (H x W or a number, 0 to 1).

    Where the weight is 0 they stay exactly the same.
    """
    width, height = source.size
    top = np.float32(np.iinfo(source.samples.dtype).max)
    plain = isinstance(source.colour, SrgbColour)
    out = source.samples.copy()
    for rows in _blocks(width, height):
        share = np.broadcast_to(np.asarray(weight, np.float32), (height, width))[rows][..., None]
        if not share.any():
            continue
        own = source.samples[rows]
        before = source._srgb(own)
        after = before + share * (np.clip(pixels[rows], 0.0, 1.0) - before)
        change = source.colour.from_srgb(after)
        direct = plain and own.shape[2] == 3
        value = change * top if direct else own + top * (change - source.colour.from_srgb(before))
        value = np.clip(np.round(value), 0, top).astype(own.dtype)
        out[rows] = np.where(share > 0, value, own)
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
    try:
        exif = metadata.exif_to_keep(source.exif, keep_metadata, width, height)
    except Exception:  # damaged values fail in many ways, and none may cost the restored picture
        exif = None
        losses.append("The photo's EXIF is damaged and was not kept.")
    xmp = metadata.xmp_to_keep(source.xmp, keep_metadata)
    path = Path(folder) / result_name(source.path, format)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        losses += encode.save(path, format, samples, source.alpha, source.icc, exif, xmp)
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
    return Path(path).stem.encode()[:150].decode(errors="ignore").lstrip(".") or "photo"


def preview(source: Source, samples: np.ndarray, path: Path, longest: int = 2048) -> Path:
    """Write samples of the photo as an 8-bit sRGB JPEG, at most ``longest`` px a side, for browsers; return path."""
    width, height = source.size
    small = replace(source, samples=_shrink(samples, longest))
    pixels = to_8_bits(small.pixels)
    if source.alpha is not None:
        pixels = on_white(pixels, to_8_bits(_shrink(source.alpha[..., None], longest)[..., 0]))
    encode.save(path, "jpeg", pixels, None)
    return path


def _shrink(values: np.ndarray, longest: int) -> np.ndarray:
    """Shrink H x W x C to at most ``longest`` a side; Pillow resizes 16 bits only as floats, channel by channel."""
    height, width = values.shape[:2]
    if max(width, height) <= longest:
        return values
    scale = longest / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))

    def shrink(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))

    if values.dtype == np.uint8 and values.shape[2] == 3:
        return shrink(values)
    top = np.iinfo(values.dtype).max
    planes = [shrink(values[..., i].astype(np.float32)) for i in range(values.shape[2])]
    return np.clip(np.round(np.stack(planes, axis=2)), 0, top).astype(values.dtype)


def save_layer(layer: np.ndarray, path: Path) -> Path:
    """Write a layer (H x W x 3 or H x W, floats in [0, 1]) as an 8-bit sRGB PNG; return ``path``."""
    pixels = np.empty(layer.shape, np.uint8)
    for rows in _blocks(layer.shape[1], layer.shape[0]):
        pixels[rows] = to_8_bits(layer[rows])
    encode.save(path, "png", pixels[..., None] if pixels.ndim == 2 else pixels, None)
    return path


def _blocks(width: int, height: int) -> list[slice]:
    rows = max(1, _BLOCK_PX // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
