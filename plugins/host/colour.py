"""Conversion from a photo's ICC profile to sRGB, in which it is processed, and back.

Profiles of curves and a matrix (sRGB, Display P3, Adobe RGB, ProPhoto, …) are applied in floating point, so that 16-bit
pictures keep their depth. Others (lookup tables) are applied by LittleCMS in 8 bits. Source: ICC.1:2022, 8 and 10.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageCms

from plugins.host.samples import to_8_bits

SRGB_TO_XYZ = np.array(  # linear sRGB to XYZ, adapted to D50, the white point of profiles
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
LUMA_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Rec. 709 luma of R, G, B."""
_TABLE_SIZE = 1 << 16  # entries of a tabulated curve


class ProfileError(ValueError):
    """A profile cannot be read or does not fit the picture."""


class Colour(Protocol):
    """A colour space. Values are float32 in [0, 1]; samples of the photo are H x W x C, C 3, or 1 for gray."""

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert the photo's H x W x C samples to H x W x 3 sRGB; colours outside of sRGB are clipped."""
        ...

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert H x W x 3 sRGB to the photo's H x W x C samples."""
        ...


def _sample(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Look up ``table`` at the nearest entry to ``index`` in [0, 1]."""
    return table[(np.clip(index, 0.0, 1.0) * np.float32(_TABLE_SIZE - 1) + np.float32(0.5)).astype(np.uint16)]


def _srgb_decode(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _srgb_encode(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * np.maximum(value, 0.0031308) ** (1 / 2.4) - 0.055)


_GRID = np.linspace(0.0, 1.0, _TABLE_SIZE)
_DECODE = _srgb_decode(_GRID).astype(np.float32)
_ENCODE = _srgb_encode(_GRID**2).astype(np.float32)  # indexed by the square root, to resolve dark values


@dataclass(frozen=True)
class Curve:
    """A tone curve, tabulated in both directions; ``inverse`` is indexed by the square root."""

    forward: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Curve:
        """Make it from values at ``_TABLE_SIZE`` even steps. Raises ProfileError if they fall or are constant."""
        values = np.clip(values, 0.0, 1.0)
        if np.any(np.diff(values) < -1e-6) or values[-1] - values[0] < 0.1:
            raise ProfileError("a tone curve falls or is flat")
        rising = np.maximum.accumulate(values) + np.arange(_TABLE_SIZE) * 1e-12  # ties broken, for the inverse
        return cls(values.astype(np.float32), np.interp(_GRID**2, rising, _GRID).astype(np.float32))

    def linear(self, encoded: np.ndarray) -> np.ndarray:
        """Convert encoded values to linear light."""
        return _sample(self.forward, encoded)

    def encoded(self, linear: np.ndarray) -> np.ndarray:
        """Convert linear light to encoded values."""
        return _sample(self.inverse, np.sqrt(np.clip(linear, 0.0, 1.0)))


class SrgbColour:
    """The sRGB colour space: no profile, or one equal to it."""

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert samples to sRGB."""
        return np.repeat(samples, 3, axis=2) if samples.shape[2] == 1 else samples

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert sRGB to samples."""
        return pixels


class GraySrgbColour(SrgbColour):
    """Gray with the sRGB curve."""

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert sRGB to samples."""
        return (pixels @ LUMA_WEIGHTS)[..., None]


@dataclass(frozen=True)
class GrayColour:
    """Gray with a curve of a profile."""

    curve: Curve

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert samples to sRGB."""
        gray = _sample(_ENCODE, np.sqrt(self.curve.linear(samples)))
        return np.repeat(gray, 3, axis=2)

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert sRGB to samples."""
        return self.curve.encoded(_sample(_DECODE, pixels @ LUMA_WEIGHTS))[..., None]


@dataclass(frozen=True)
class MatrixColour:
    """A profile of three curves and a matrix. ``matrix``: the photo's linear light to linear sRGB."""

    curves: tuple[Curve, Curve, Curve]
    matrix: np.ndarray

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert samples to sRGB."""
        linear = np.stack([curve.linear(samples[..., i]) for i, curve in enumerate(self.curves)], axis=2)
        linear = np.clip(linear @ self.matrix.T.astype(np.float32), 0.0, 1.0)
        return _sample(_ENCODE, np.sqrt(linear))

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert sRGB to samples."""
        linear = _sample(_DECODE, pixels) @ np.linalg.inv(self.matrix).T.astype(np.float32)
        return np.stack([curve.encoded(linear[..., i]) for i, curve in enumerate(self.curves)], axis=2)


class TableColour:
    """Any other profile, by LittleCMS in 8 bits. Raises ProfileError if it cannot be converted both ways."""

    def __init__(self, icc: bytes, gray: bool) -> None:
        own, mode = open_profile(icc), "L" if gray else "RGB"
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        srgb = ImageCms.createProfile("sRGB")
        try:
            self._to = ImageCms.buildTransform(own, srgb, mode, "RGB", intent)
            self._from = ImageCms.buildTransform(srgb, own, "RGB", mode, intent)
        except ImageCms.PyCMSError as error:
            raise ProfileError(f"it cannot be converted ({error})") from error

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert samples to sRGB."""
        return _through(self._to, samples)

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert sRGB to samples."""
        return _through(self._from, pixels)


def _through(transform: ImageCms.ImageCmsTransform, values: np.ndarray) -> np.ndarray:
    pixels = to_8_bits(values)
    picture = ImageCms.applyTransform(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), transform)
    assert picture is not None
    out = np.asarray(picture, np.float32) / 255
    return out[..., None] if out.ndim == 2 else out


def open_profile(icc: bytes) -> ImageCms.ImageCmsProfile:
    """Open a profile. Raises ProfileError."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ImageCms.PyCMSError) as error:
        raise ProfileError("it cannot be read") from error


def colour_of(icc: bytes | None, gray: bool) -> Colour:
    """Return the colour space of a profile (None: sRGB). Raises ProfileError if it cannot be used."""
    if icc is None:
        return GraySrgbColour() if gray else SrgbColour()
    open_profile(icc)
    space = icc[16:20]
    if space != (b"GRAY" if gray else b"RGB "):
        raise ProfileError(f"it is for {space.decode('latin-1').strip()} pictures")
    tags = _tags(icc)
    try:
        if gray and "kTRC" in tags and "A2B0" not in tags:
            return GrayColour(_curve(tags["kTRC"]))
        if {"rXYZ", "gXYZ", "bXYZ", "rTRC", "gTRC", "bTRC"} <= tags.keys() and "A2B0" not in tags:
            return _matrix_colour(tags)
    except (ProfileError, struct.error, ValueError, np.linalg.LinAlgError):
        pass  # unusual but maybe valid: LittleCMS supports more kinds
    return TableColour(icc, gray)


def _matrix_colour(tags: dict[str, bytes]) -> Colour:
    curves = _curve(tags["rTRC"]), _curve(tags["gTRC"]), _curve(tags["bTRC"])
    columns = [np.array(struct.unpack(">3i", tags[name][8:20])) / 65536 for name in ("rXYZ", "gXYZ", "bXYZ")]
    colour = MatrixColour(curves, np.linalg.inv(SRGB_TO_XYZ) @ np.stack(columns, axis=1))
    np.linalg.inv(colour.matrix)
    steps = np.linspace(0, 1, 17, dtype=np.float32)
    probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(17, 289, 3)
    if np.abs(colour.to_srgb(probe) - probe).max() < 0.005:  # little more than a level of 8 bits
        return SrgbColour()  # the usual case: exact, without tables
    return colour


def _tags(icc: bytes) -> dict[str, bytes]:
    try:
        (count,) = struct.unpack(">I", icc[128:132])
        entries = [struct.unpack(">4sII", icc[132 + 12 * i : 144 + 12 * i]) for i in range(min(count, 200))]
    except struct.error as error:
        raise ProfileError("it is cut short") from error
    return {name.decode("latin-1"): icc[offset : offset + size] for name, offset, size in entries}


def _curve(tag: bytes) -> Curve:
    """Read a curveType or parametricCurveType tag (ICC.1 10.6 and 10.18)."""
    kind = tag[:4]
    if kind == b"curv":
        (count,) = struct.unpack(">I", tag[8:12])
        if count == 0:
            return Curve.of(_GRID)
        values = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        if count == 1:
            return Curve.of(_GRID ** (values[0] / 256))
        return Curve.of(np.interp(_GRID, np.linspace(0, 1, count), values / 65535))
    if kind != b"para":
        raise ProfileError("its tone curve is of an unknown kind")
    (function,) = struct.unpack(">H", tag[8:10])
    number = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(function)
    if number is None:
        raise ProfileError("its tone curve is of an unknown kind")
    given = [value / 65536 for value in struct.unpack(f">{number}i", tag[12 : 12 + 4 * number])]
    g, a, b, c, d, e, f = given + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0][number - 1 :]
    if function in (1, 2):  # the straight part is the constant c, up to -b/a
        power = np.maximum(a * _GRID + b, 0.0) ** g + (c if function == 2 else 0.0)
        return Curve.of(np.where(-b / a <= _GRID, power, c if function == 2 else 0.0))
    power = np.maximum(a * _GRID + b, 0.0) ** g + (e if function == 4 else 0.0)
    return Curve.of(power if function == 0 else np.where(d <= _GRID, power, c * _GRID + (f if function == 4 else 0.0)))
