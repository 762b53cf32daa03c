from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from plugins.host.colour import SRGB, Colour, ProfileError, Said, space_of
from tests.plugins.fakes import noise, profile


def little_cms(pixels: np.ndarray, icc: bytes, mode: str) -> np.ndarray:
    own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), intent, "RGB"))


@pytest.mark.parametrize("gamma", [1.8, 2.2, None])
@pytest.mark.parametrize("deep", [False, True])
def test_profiles_agree_with_pillows_little_cms(gamma, deep):
    pixels, icc = noise(64, 64), profile(gamma)
    ours = Colour(icc, gray=False).to_srgb(pixels * np.uint16(257) if deep else pixels) * 255
    difference = np.abs(ours - little_cms(pixels, icc, "RGB"))
    assert difference.mean() < 0.5 and np.quantile(difference, 0.99) < 1.5


def test_gray_profiles_agree_with_pillows_little_cms():
    pixels, icc = noise(64, 64, 1), profile(1.8, gray=True)
    ours = Colour(icc, gray=True).to_srgb(pixels) * 255
    assert np.abs(ours - little_cms(pixels, icc, "L")).max() < 1.5
    assert np.abs(ours - pixels).max() > 10


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_there_and_back_keeps_the_depth(gray, deep):
    space = Colour(profile(2.2, gray), gray)
    srgb = np.linspace(0.2, 0.8, 3000, dtype=np.float32).reshape(10, 100, 3)
    srgb = srgb.mean(axis=2, keepdims=True).repeat(3, axis=2) if gray else srgb
    own = np.round(space.from_srgb(srgb, deep) * 65535).astype(np.uint16)
    assert np.abs(space.to_srgb(own) - srgb).max() < (8 / 65535 if deep else 0.5 / 255)


@pytest.mark.parametrize("icc", [SRGB, None])
def test_an_srgb_profile_changes_nothing(icc):
    space, pixels = Colour(icc, gray=False), noise(8, 8)
    assert space.plain and np.array_equal(space.to_srgb(pixels), pixels / np.float32(255))


@pytest.mark.parametrize(
    ("icc", "said"),
    [(b"nonsense", "cannot be read"), (profile()[:200], "cannot be read"), (profile(gray=True), "for GRAY pictures")],
)
def test_a_profile_of_no_use_says_why(icc, said):
    with pytest.raises(ProfileError, match=said):
        Colour(icc, gray=False)


P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


@pytest.mark.parametrize(
    ("said", "primaries", "gamma"),
    [
        (Said(cicp=(12, 4)), P3, 2.2),
        (Said(cicp=(1, 8)), (0.64, 0.33, 0.30, 0.60, 0.15, 0.06), 1.0),
        (Said(gamma=1.8), (0.64, 0.33, 0.30, 0.60, 0.15, 0.06), 1.8),
        (Said(gamma=1.8, chromaticities=(0.3127, 0.3290, *P3)), P3, 1.8),
        (Said(adobe_rgb=True), (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256),
    ],
)
def test_what_files_say_without_a_profile(said, primaries, gamma):
    made = imagecodecs.cms_profile("rgb", whitepoint=(0.3127, 0.3290), primaries=primaries, gamma=gamma)
    pixels = noise(64, 64)
    difference = np.abs(space_of(said, gray=False).to_srgb(pixels) * 255 - little_cms(pixels, made, "RGB"))
    assert difference.mean() < 0.5 and np.quantile(difference, 0.99) < 1.5


@pytest.mark.parametrize("said", [Said(), Said(cicp=(1, 13)), Said(cicp=(2, 2)), Said(gamma=2.2), Said(cicp=(1, 1))])
@pytest.mark.parametrize("gray", [False, True])
def test_srgb_in_other_words_needs_no_profile(said, gray):
    space = space_of(said, gray)
    assert space.icc is None and space.plain


def test_primaries_that_nobody_knows_are_an_error():
    with pytest.raises(ProfileError, match="its primaries 99 and transfer 13 are not known"):
        space_of(Said(cicp=(99, 13)), gray=False)


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.58069), (18, 0.75)])
def test_hdr_is_tone_mapped_with_dark_values_kept_and_back(transfer, white):
    space = space_of(Said(cicp=(9, transfer)), gray=False)
    codes = np.repeat(np.linspace(0, 65535, 500).astype(np.uint16)[:, None, None], 3, axis=2)
    seen = space.to_srgb(codes)
    assert (np.diff(seen[:, 0], axis=0) >= -1e-6).all() and seen[-1].min() > 0.995
    assert 0.85 < seen[round(499 * white), 0, 0] < 0.95  # diffuse white, 203 cd/m2
    back = space.from_srgb(seen, deep=True) * 65535
    assert np.abs(back - codes)[codes[..., 0] > 3000].max() < 80
