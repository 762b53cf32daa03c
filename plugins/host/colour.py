"""Conversion from a photo's colours to sRGB, in which it is processed, and back, by Little-CMS.

Whatever a file says of its colours becomes an ICC profile: ``space_of``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np

SRGB = imagecodecs.cms_profile("srgb")
LUMA_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Rec. 709 luma of R, G, B."""
_D65 = (0.3127, 0.3290)
_SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES = {  # ITU-T H.273, table 2: x and y of red, green and blue, with white where it is not D65
    1: (_SRGB_PRIMARIES, _D65),
    2: (_SRGB_PRIMARIES, _D65),  # unspecified
    4: ((0.67, 0.33, 0.21, 0.71, 0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33, 0.29, 0.60, 0.15, 0.06), _D65),
    6: ((0.630, 0.340, 0.310, 0.595, 0.155, 0.070), _D65),
    7: ((0.630, 0.340, 0.310, 0.595, 0.155, 0.070), _D65),
    9: ((0.708, 0.292, 0.170, 0.797, 0.131, 0.046), _D65),
    11: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), _D65),
    22: ((0.630, 0.340, 0.295, 0.605, 0.155, 0.077), _D65),
}
_SRGB_TRANSFERS, _GAMMAS = (1, 2, 6, 13, 14, 15), {4: 2.2, 5: 2.8, 8: 1.0}
"""H.273, table 3. The curves of television are shown as sRGB's, as browsers do."""
_NAMES = {9: "Rec. 2020", 11: "DCI-P3", 12: "Display P3"}
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_ADOBE_RGB = ((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), _D65, 563 / 256)
_GRID = np.linspace(0.0, 1.0, 4096)
_SRGB_CURVE = np.where(_GRID <= 0.04045, _GRID / 12.92, ((_GRID + 0.055) / 1.055) ** 2.4)
_UNNAMED = "RGB built-in"  # what Little-CMS calls a profile that it makes
_DATE = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)


class ProfileError(ValueError):
    """A profile cannot be read or does not fit the picture."""


@dataclass(frozen=True)
class Said:
    """What a file says of its colours. ``cicp``: primaries and transfer of H.273. ``gamma``: of samples to light.

    ``chromaticities``: x and y of white, red, green and blue. ``adobe_rgb``: EXIF says so.
    """

    icc: bytes | None = None
    cicp: tuple[int, int] | None = None
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None
    adobe_rgb: bool = False


class Colour:
    """A colour space: sRGB, or that of an ICC profile. Samples are H x W x C, C 3, or 1 for gray.

    ``icc``: the profile that a result needs, None for sRGB. ``hdr``: primaries and transfer of an HDR photo.
    ``reversible``: whether there is a way back; profiles of scanners and cameras may have none.
    Raises ProfileError if the profile cannot be used.
    """

    def __init__(self, icc: bytes | None, gray: bool, hdr: tuple[int, int] | None = None) -> None:
        self.icc, self.gray, self.hdr, self.reversible = icc, gray, hdr, True
        self.plain = icc is None
        self._table = icc is not None and b"A2B0" in icc[128:1000]  # for which only floating point is exact
        if icc is None:
            return
        if icc[16:20] != (b"GRAY" if gray else b"RGB "):
            kind = icc[16:20].decode("latin-1").strip()
            raise ProfileError("it cannot be read" if len(icc) < 128 else f"it is for {kind} pictures")
        steps = np.linspace(0, 1, 17, dtype=np.float32)
        probe = np.stack(np.meshgrid(*[steps] * 3, indexing="ij"), axis=-1).reshape(17, 289, 3)
        try:
            given = probe[..., :1] if gray else probe
            change = np.abs(self._cms(given, to_srgb=True) - given)
        except imagecodecs.CmsError as error:
            raise ProfileError("it cannot be read") from error
        self.plain = bool(change.max() < 0.005)  # little more than a level of 8 bits: sRGB itself
        try:
            self._cms(probe, to_srgb=False)
        except imagecodecs.CmsError:
            self.reversible = False

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert uint8 or uint16 samples to float32 H x W x 3, sRGB in [0, 1]; colours outside of it are clipped."""
        if self.plain:
            values = np.divide(samples, np.iinfo(samples.dtype).max, dtype=np.float32)
            return np.repeat(values, 3, axis=2) if self.gray else values
        if samples.dtype == np.uint8 and not self._table:
            return self._cms(samples, to_srgb=True, dtype=np.uint16) / np.float32(65535)
        return np.clip(self._cms(samples / np.float32(np.iinfo(samples.dtype).max), to_srgb=True), 0.0, 1.0)

    def from_srgb(self, pixels: np.ndarray, deep: bool) -> np.ndarray:
        """Convert float32 H x W x 3 sRGB to float32 samples in [0, 1]; with 8-bit accuracy, faster, if not ``deep``."""
        if self.plain:
            return (pixels @ LUMA_WEIGHTS)[..., None] if self.gray else pixels
        if deep or self._table:
            return np.clip(self._cms(pixels, to_srgb=False), 0.0, 1.0)
        sixteen = np.round(np.clip(pixels, 0.0, 1.0) * 65535).astype(np.uint16)
        return self._cms(sixteen, to_srgb=False) / np.float32(65535)

    def _cms(self, values: np.ndarray, *, to_srgb: bool, dtype: type | None = None) -> np.ndarray:
        assert self.icc is not None
        own = "gray" if self.gray else "rgb"
        profiles, spaces = (self.icc, SRGB), (own, "rgb")
        if not to_srgb:
            profiles, spaces = profiles[::-1], spaces[::-1]
        out = imagecodecs.cms_transform(
            np.ascontiguousarray(values[..., 0] if spaces[0] == "gray" else values),
            *profiles,
            colorspace=spaces[0],
            outcolorspace=spaces[1],
            outdtype=dtype,
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
            flags=imagecodecs.CMS.FLAGS.HIGHRESPRECALC,
        )
        return out[..., None] if spaces[1] == "gray" else out


def lab_to_srgb(values: np.ndarray) -> np.ndarray:
    """Convert TIFF's 8-bit Lab, H x W x 3, to uint8 sRGB."""
    values = values.view(np.uint8) ^ np.array([0, 128, 128], np.uint8)  # Little-CMS has a and b unsigned
    lab = imagecodecs.cms_profile("lab4")
    return imagecodecs.cms_transform(np.ascontiguousarray(values), lab, SRGB, colorspace="lab", outcolorspace="rgb")


def space_of(said: Said, gray: bool) -> Colour:
    """Return the colour space that a file says it has. Raises ProfileError if it cannot be used."""
    if said.cicp and said.cicp[1] in HDR_TRANSFERS:
        primaries, white = _PRIMARIES.get(said.cicp[0], _PRIMARIES[9])
        return Colour(_made(primaries, white, _tone_mapped(said.cicp[1]), gray), gray, said.cicp)
    if said.cicp and said.icc is None:
        number, transfer = said.cicp
        if number not in _PRIMARIES or not (transfer in _SRGB_TRANSFERS or transfer in _GAMMAS):
            raise ProfileError(f"its primaries {number} and transfer {transfer} are not known")
        curve = _GRID ** _GAMMAS[transfer] if transfer in _GAMMAS else _SRGB_CURVE
        icc = _made(*_PRIMARIES[number], curve, gray, _NAMES.get(number))
    elif said.icc is not None:
        icc = said.icc
    elif said.gamma or said.chromaticities:
        points = said.chromaticities or (*_D65, *_SRGB_PRIMARIES)
        usual = said.gamma is None or abs(said.gamma - 1 / 0.45455) < 0.005  # which stands for sRGB
        icc = _made(points[2:], points[:2], _SRGB_CURVE if usual else _GRID ** (said.gamma or 1), gray)
    elif said.adobe_rgb and not gray:
        icc = _made(*_ADOBE_RGB[:2], _GRID ** _ADOBE_RGB[2], gray, "Adobe RGB")
    else:
        return Colour(None, gray)
    found = Colour(icc, gray)
    return Colour(None, gray) if found.plain and said.icc is None else found


def _made(
    primaries: tuple[float, ...], white: tuple[float, ...], curve: np.ndarray, gray: bool, name: str | None = None
) -> bytes:
    kind = "gray" if gray else "rgb"
    more: dict[str, Any] = {} if gray else {"primaries": primaries}
    icc = imagecodecs.cms_profile(kind, whitepoint=white, transferfunction=curve.astype(np.float32), **more)
    if name:
        icc = icc.replace(_UNNAMED.encode("utf-16-be"), name.ljust(len(_UNNAMED)).encode("utf-16-be"))
    return icc[:24] + _DATE + icc[36:]  # not of today: the same photo is to give the same file


def _tone_mapped(transfer: int) -> np.ndarray:
    """Return the curve of an HDR transfer (ITU-R BT.2100), tone-mapped: 1 is its brightest light.

    Light up to 60 % of diffuse white (203 cd/m², BT.2408) is kept; brighter light is compressed.
    """
    if transfer == 16:
        root = _GRID ** (1 / 78.84375)
        ratio = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        light = 10_000 / 203 * ratio ** (1 / 0.1593017578125)
    else:
        high = (np.exp((_GRID - 0.55991073) / 0.17883277) + 0.28466892) / 12
        light = 1000 / 203 * np.where(_GRID <= 0.5, _GRID**2 / 3, high) ** 1.2
    knee = 0.6
    over = np.maximum(light - knee, 0) / (1 - knee)
    return np.where(light <= knee, light, knee + (1 - knee) * over * (1 + over / over[-1] ** 2) / (1 + over))
