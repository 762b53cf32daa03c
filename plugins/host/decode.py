"""Decoding of picture files to upright samples. The library is chosen by content: see readers.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from models.errors import LimpidError
from plugins.host import colour, metadata
from plugins.host.readers import Opened, RefusedError, open_file

MAX_PIXELS = 120_000_000
"""Largest picture accepted (photos of 108-megapixel phones fit)."""


class PictureError(LimpidError):
    """A picture cannot be read, or not written in the format asked for."""


@dataclass
class Decoded:
    """A decoded picture, upright.

    ``samples``: uint8 or uint16, H x W x C, C 3 or 1 (gray). ``alpha``: H x W of the same type, or None.
    ``colour``: its colour space. ``resolution``: pixels per mm (x, y), or None.
    """

    samples: np.ndarray
    alpha: np.ndarray | None
    colour: colour.Colour
    metadata: metadata.Metadata
    resolution: tuple[float, float] | None
    notes: list[str] = field(default_factory=list)


def decode(path: str | Path | None, name: str | None = None) -> Decoded:
    """Decode a picture; messages call it ``name``. Raises PictureError."""
    file, name = _existing(path, name)
    opened = _open(file, name)
    try:
        pixels = opened.pixels()
    except RefusedError as refusal:
        raise PictureError(f"{name} {refusal}") from refusal
    except Exception as error:  # decoders raise many kinds on damaged files
        raise _damaged(file, name, error) from error
    notes = [f"{name} {note}" for note in opened.notes]
    pixels = _upright(pixels if pixels.ndim == 3 else pixels[..., None], opened.turn)
    samples, alpha = (pixels[..., :-1], pixels[..., -1]) if pixels.shape[2] in (2, 4) else (pixels, None)
    says = replace(opened.says, adobe_rgb=opened.metadata.adobe_rgb)
    if (says.icc or b"")[16:20] == b"GRAY" and np.ptp(samples, axis=2).max() <= np.iinfo(samples.dtype).max / 99:
        samples = samples[..., :1]  # as formats have it that know no gray, or no gray with alpha
    gray = samples.shape[2] == 1
    try:
        space = colour.space_of(says, gray)
        if not space.reversible:
            notes.append("The colour profile only leads to sRGB and not back; the picture was converted to sRGB.")
            samples, space = _in_srgb(samples, space), colour.Colour(None, gray=False)
    except colour.ProfileError as error:
        notes.append(f"The colour profile was ignored: {error}.")
        space = colour.Colour(None, gray)
    if space.hdr:
        notes.append(f"{name} is an HDR picture ({colour.HDR_TRANSFERS[space.hdr[1]]}); it was restored tone-mapped.")
    return Decoded(samples, alpha, space, opened.metadata, opened.resolution or opened.metadata.resolution, notes)


def size_of(path: str | Path | None) -> tuple[int, int]:
    """Return the upright (width, height) from the header. Raises PictureError."""
    file, name = _existing(path, None)
    opened = _open(file, name)
    return opened.size if opened.turn < 5 else opened.size[::-1]


def _existing(path: str | Path | None, name: str | None) -> tuple[Path, str]:
    if path is None or str(path) == "":
        raise PictureError("No picture was given: choose a photo first.")
    path = Path(path)
    name = name or f"'{path.name}'"
    if not path.is_file():
        raise PictureError(f"There is no picture file {name}.")
    if path.stat().st_size == 0:
        raise PictureError(f"{name} is empty (0 bytes): the upload or copy may have failed, so try again.")
    return path, name


def _open(path: Path, name: str) -> Opened:
    try:
        opened = open_file(path)
    except RefusedError as refusal:
        raise PictureError(f"{name} {refusal}") from refusal
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name} has more than {2 * MAX_PIXELS / 1e6:.0f} megapixels: too many.") from error
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{name} is not a picture that can be read: use JPEG, PNG, HEIC, WebP, TIFF, AVIF, GIF, BMP or a raw file."
        ) from error
    except Exception as error:
        raise _damaged(path, name, error) from error
    pixels = opened.size[0] * opened.size[1]
    if pixels > MAX_PIXELS:
        raise PictureError(
            f"{name} has {pixels / 1e6:.0f} megapixels: "
            f"pictures of up to {MAX_PIXELS / 1e6:.0f} megapixels are accepted."
        )
    return opened


def _damaged(file: Path, name: str, error: Exception) -> PictureError:
    if isinstance(error, MemoryError):
        return PictureError(f"There is not enough memory to open {name}.")
    reason = " ".join(str(error).replace(str(file), "the file").split()) or type(error).__name__  # no path of a server
    return PictureError(f"{name} is damaged or cut short: copy or export it again ({reason}).")


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to H x W x C; return it contiguous."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _in_srgb(samples: np.ndarray, space: colour.Colour) -> np.ndarray:
    top = np.iinfo(samples.dtype).max
    return np.round(space.to_srgb(samples) * np.float32(top)).astype(samples.dtype)
