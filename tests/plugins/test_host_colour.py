from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from plugins.host import colour
from plugins.host.colour import MatrixColour, ProfileError, SrgbColour, TableColour, colour_of
from tests.plugins.fakes import noise, profile

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def little_cms(pixels: np.ndarray, icc: bytes, mode: str) -> np.ndarray:
    own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), intent, "RGB"))


@pytest.mark.parametrize("gamma", [1.8, 2.2, None])
def test_matrix_profiles_agree_with_little_cms(gamma):
    pixels, icc = noise(64, 64), profile(gamma)
    space = colour_of(icc, gray=False)
    assert isinstance(space, MatrixColour)
    ours = space.to_srgb(pixels.astype(np.float32) / 255) * 255
    difference = np.abs(ours - little_cms(pixels, icc, "RGB"))
    assert difference.mean() < 0.5 and np.quantile(difference, 0.99) < 1.5


def test_gray_profiles_agree_with_little_cms():
    pixels, icc = noise(64, 64, 1), profile(1.8, gray=True)
    ours = colour_of(icc, gray=True).to_srgb(pixels.astype(np.float32) / 255) * 255
    assert np.abs(ours - little_cms(pixels, icc, "L")).max() < 1.5
    assert np.abs(ours - pixels).max() > 10


@pytest.mark.parametrize("gray", [False, True])
def test_there_and_back_keeps_sixteen_bits(gray):
    space = colour_of(profile(2.2, gray), gray)
    srgb = np.linspace(0.2, 0.8, 3000, dtype=np.float32).reshape(10, 100, 3)
    srgb = srgb.mean(axis=2, keepdims=True).repeat(3, axis=2) if gray else srgb
    assert np.abs(space.to_srgb(space.from_srgb(srgb)) - srgb).max() < 8 / 65535


def test_an_srgb_profile_changes_nothing():
    assert isinstance(colour_of(SRGB, gray=False), SrgbColour)
    assert isinstance(colour_of(None, gray=False), SrgbColour)


def test_other_profiles_go_through_little_cms(monkeypatch):
    def refuse(tags):
        raise ProfileError("no curves")

    monkeypatch.setattr(colour, "_matrix_colour", refuse)
    pixels, icc = noise(32, 32), profile(2.2)
    space = colour_of(icc, gray=False)
    assert isinstance(space, TableColour)
    there = space.to_srgb(pixels.astype(np.float32) / 255)
    assert np.array_equal(np.round(there * 255).astype(np.uint8), little_cms(pixels, icc, "RGB"))
    muted = there * 0.5 + 0.25  # inside sRGB, where the way back is exact up to rounding
    assert np.abs(space.to_srgb(space.from_srgb(muted)) - muted).max() < 3 / 255


@pytest.mark.parametrize(
    ("icc", "said"),
    [(b"nonsense", "cannot be read"), (profile()[:200], "cannot be read"), (profile(gray=True), "for GRAY pictures")],
)
def test_a_profile_of_no_use_says_why(icc, said):
    with pytest.raises(ProfileError, match=said):
        colour_of(icc, gray=False)
