"""Decoding of picture files to upright samples: formats and sizes accepted, modes, 16 bits, first frames.

Pillow decodes 16-bit colour to the high bytes only. A second pass with the opposite byte order gives the low bytes.
"""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from models.errors import LimpidError
from plugins.host import metadata
from plugins.host.colour import ProfileError, open_profile

MAX_PIXELS = 120_000_000
"""Largest picture accepted (photos of 108-megapixel phones fit). Pillow itself refuses more than twice as many."""
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "HEIF", "AVIF", "PPM", "JPEG2000")
"""Pillow's names of the formats accepted: none whose decoder runs programs (EPS) or reads other files."""
BROWSER_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp"})
"""Suffixes of pictures that all browsers show."""
PHOTO_SUFFIXES = BROWSER_SUFFIXES | {".tif", ".tiff", ".heic", ".heif"}
"""Suffixes by which photos are recognised in a folder."""

pillow_heif.register_heif_opener()  # type: ignore[attr-defined, unused-ignore]


class PictureError(LimpidError):
    """A picture cannot be read, or not written in the format asked for."""


@dataclass(frozen=True)
class Decoded:
    """A decoded picture, upright.

    ``samples``: uint8 or uint16, H x W x C, C 3 or 1 (gray). ``alpha``: H x W of the same type, or None.
    """

    samples: np.ndarray
    alpha: np.ndarray | None
    icc: bytes | None
    exif: Image.Exif
    xmp: bytes | None
    notes: list[str]


def decode(path: str | Path | None, name: str | None = None) -> Decoded:
    """Decode a picture; messages call it ``name``. Raises PictureError."""
    path, name = _existing(path, name)
    with _open(path, name) as image:
        notes = _notes(image, name)
        deep = _deep_rawmode(image)
        key = image.info.get("transparency")
        samples, alpha, icc = _load(image, name, notes)
        exif, xmp = metadata.read(image)
    if deep is not None:
        samples, alpha = _deep(path, name, *deep, key)
    turn = metadata.orientation(exif)  # read after loading: some decoders rotate and then reset it
    upright = _upright(samples, turn)
    return Decoded(upright, None if alpha is None else _upright(alpha, turn), icc, exif, xmp, notes)


def size_of(path: str | Path | None) -> tuple[int, int]:
    """Return (width, height) from the header, as stored (for a TIFF upright, as Pillow does). Raises PictureError."""
    path, name = _existing(path, None)
    with _open(path, name) as image:
        return image.size


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


def _open(path: Path, name: str) -> ImageFile:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # raised below as PictureError
            image: ImageFile = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        pixels = re.search(r"(\d+) pixels", str(error))
        raise _too_large(name, int(pixels[1]) if pixels else 2 * MAX_PIXELS) from error
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{name} is not a picture that can be read: use JPEG, PNG, HEIC, WebP, TIFF, AVIF, GIF or BMP."
        ) from error
    except Exception as error:  # decoders raise many kinds on damaged headers
        raise _damaged(name, error) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _too_large(name, image.width * image.height)
    return image


def _too_large(name: str, pixels: int) -> PictureError:
    return PictureError(
        f"{name} has {pixels / 1e6:.0f} megapixels: pictures of up to {MAX_PIXELS / 1e6:.0f} megapixels are accepted."
    )


def _damaged(name: str, error: Exception) -> PictureError:
    if isinstance(error, MemoryError):
        return PictureError(f"There is not enough memory to open {name}.")
    reason = str(error) or type(error).__name__
    return PictureError(f"{name} is damaged or cut short: copy or export it again ({reason}).")


def _notes(image: ImageFile, name: str) -> list[str]:
    # Further pictures of MPO are previews or a second lens; HEIF opens at its primary picture.
    if image.format in ("MPO", "HEIF") or not getattr(image, "is_animated", False):
        return []
    if image.format == "TIFF":
        return [f"{name} has several pages; the first was used."]
    return [f"{name} is animated; its first frame was used."]


def _load(image: Image.Image, name: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None, bytes | None]:
    try:
        image.load()
    except Exception as error:
        raise _damaged(name, error) from error
    icc = image.info.get("icc_profile") or None
    if image.mode == "F" or (image.mode == "I" and not _fits_16_bits(image)):
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise PictureError(f"{name} holds {kind} values: save it with 8 or 16 bits a colour.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.uint16)[..., None]
        key = image.info.get("transparency")
        alpha = None if not isinstance(key, int) else np.where(samples[..., 0] == key, 0, 65535).astype(np.uint16)
        return samples, alpha, icc
    if image.mode in ("CMYK", "LAB"):
        image, icc = _printed_to_srgb(image, icc, name, notes), None
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "LA", "RGB", "RGBA") or "transparency" in image.info:
        clear = image.has_transparency_data
        gray = image.mode in ("L", "La")
        image = image.convert(("LA" if clear else "L") if gray else ("RGBA" if clear else "RGB"))
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels[..., None], None, icc
    if pixels.shape[2] in (2, 4):
        return pixels[..., :-1], pixels[..., -1], icc
    return pixels, None, icc


def _fits_16_bits(image: Image.Image) -> bool:
    low, high = np.asarray(image).min(), np.asarray(image).max()
    return bool(low >= 0 and high <= 65535)


def _printed_to_srgb(image: Image.Image, icc: bytes | None, name: str, notes: list[str]) -> Image.Image:
    """Convert CMYK or Lab, which most formats cannot hold, to sRGB, and add a note."""
    notes.append(f"{name} is in {'Lab' if image.mode == 'LAB' else 'CMYK'}; it was converted to sRGB.")
    srgb = ImageCms.createProfile("sRGB")
    try:
        own = ImageCms.createProfile("LAB") if image.mode == "LAB" else open_profile(icc or b"")
        picture = ImageCms.profileToProfile(image, own, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB")
        assert picture is not None
        return picture
    except (ProfileError, ImageCms.PyCMSError) as error:
        if image.mode == "LAB":
            raise _damaged(name, error) from error
        return image.convert("RGB")


def _deep_rawmode(image: ImageFile) -> tuple[str, str] | None:
    """Return (raw mode, raw mode of the opposite byte order) for 16-bit colour; None for any other picture."""
    modes = set()
    for tile in image.tile:
        modes.add(tile.args[0] if isinstance(tile.args, tuple) else tile.args)
    raw = modes.pop() if len(modes) == 1 else None
    if raw == "LA;16B":
        return "RGBA", ""  # one pass: four bytes are two values
    if not isinstance(raw, str) or not re.fullmatch(r"(RGB|RGBA);16[BLN]", raw):
        return None
    order = raw[-1] if raw[-1] != "N" else ("L" if sys.byteorder == "little" else "B")
    return raw, raw[:-1] + ("L" if order == "B" else "B")


def _deep(
    path: Path, name: str, raw: str, twin: str, key: tuple[int, int, int] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    high = _with_rawmode(path, name, raw)
    if not twin:
        words = high.astype(np.uint16)
        return (words[..., 0:1] << 8) | words[..., 1:2], (words[..., 2] << 8) | words[..., 3]
    samples = high.astype(np.uint16) << 8
    samples |= _with_rawmode(path, name, twin)
    if samples.shape[2] == 4:
        return samples[..., :3], samples[..., 3]
    alpha = None if key is None else np.where((samples == key).all(axis=2), 0, 65535).astype(np.uint16)
    return samples, alpha


def _with_rawmode(path: Path, name: str, raw: str) -> np.ndarray:
    with _open(path, name) as image:
        image.tile = [
            one._replace(args=(raw, *one.args[1:]) if isinstance(one.args, tuple) else raw) for one in image.tile
        ]
        image.info.pop("transparency", None)
        try:
            return np.asarray(image)
        except Exception as error:
            raise _damaged(name, error) from error


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to H x W (x C); return it contiguous."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
