from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from plugins.host.masks import read_mask
from plugins.host.pictures import PictureError
from tests.plugins.fakes import noise, png16, save


def test_white_is_one_and_black_is_nothing(tmp_path):
    half = np.zeros((20, 30, 3), np.uint8)
    half[:, 15:] = 255
    notes: list[str] = []
    mask = read_mask(save(tmp_path / "mask.png", half), 30, 20, notes)
    assert mask.dtype == np.float32 and mask.shape == (20, 30) and not notes
    assert (mask[:, :15] == 0).all() and (mask[:, 15:] == 1).all()


def test_strokes_on_transparency_and_sixteen_bits(tmp_path):
    strokes = np.full((10, 10, 4), 255, np.uint8)
    strokes[:5, :, 3] = 0
    mask = read_mask(save(tmp_path / "strokes.png", strokes), 10, 10, [])
    assert (mask[:5] == 0).all() and (mask[5:] == 1).all()
    deep = png16(tmp_path / "deep.png", np.full((10, 10, 1), 32768, np.uint16))
    assert np.allclose(read_mask(deep, 10, 10, []), 0.5, atol=1e-4)


def test_another_size_is_scaled_and_noted(tmp_path):
    half = np.zeros((10, 10), np.uint8)
    half[:, 5:] = 255
    notes: list[str] = []
    mask = read_mask(save(tmp_path / "mask.png", half), 200, 100, notes)
    assert mask.shape == (100, 200) and (mask[:, :90] == 0).all() and (mask[:, 110:] == 1).all()
    assert notes == ["The mask is 10 x 10 pixels and the photo 200 x 100; it was scaled."]


def test_an_empty_mask_is_noted_and_a_bad_one_is_an_error(tmp_path):
    notes: list[str] = []
    read_mask(save(tmp_path / "black.png", np.zeros((4, 4), np.uint8)), 4, 4, notes)
    assert notes == ["The mask is black everywhere, so nothing was changed."]
    (tmp_path / "mask.png").write_text("no picture")
    with pytest.raises(PictureError, match="The mask 'mask.png' is not a picture"):
        read_mask(tmp_path / "mask.png", 4, 4, [])
    with pytest.raises(PictureError, match="The mask is not a file"):
        read_mask(tmp_path / "gone.png", 4, 4, [])


def test_a_mask_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise(10, 20)).save(tmp_path / "mask.png", exif=exif)
    notes: list[str] = []
    assert read_mask(tmp_path / "mask.png", 10, 20, notes).shape == (20, 10) and not notes
