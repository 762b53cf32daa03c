import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image

from degradations.sample_rng import SampleRNG
from models.images import to_pixels
from training.data.manifest import list_images, manifest_hash
from training.data.pairs import PairStore, match_pairs
from training.data.photos import Crop, PhotoStore, read_photo


def test_photos_are_upright_and_reduced(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: a quarter clockwise to be upright
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    photo = read_photo(tmp_path / "turned.png", 20)
    assert photo.shape == (3, 40, 20) and photo.dtype == torch.uint8
    assert photo[:, 5].min() == 255 and photo[:, 35].max() == 0


def test_a_heic_photo_is_read(tmp_path):
    picture = Image.new("RGB", (64, 48), (200, 100, 50))
    pillow_heif.from_pillow(picture).save(tmp_path / "photo.HEIC", quality=95)
    photo = read_photo(tmp_path / "photo.HEIC")
    assert photo.shape == (3, 48, 64)
    assert (photo.float().mean((1, 2)) - torch.tensor([200.0, 100, 50])).abs().max() < 5


def test_crops_take_the_part_they_name():
    ramp = torch.arange(100, dtype=torch.uint8).expand(3, 50, 100).contiguous()
    part = Crop(0.0, 0.5, 1.0, 0.5, False).take(ramp, 50)
    torch.testing.assert_close(part[0, 0] * 255, torch.arange(50, 100).float())
    flipped = Crop(0.0, 0.5, 1.0, 0.5, True).take(ramp, 50)
    assert torch.equal(flipped, part.flip(-1))
    for i in range(200):
        crop = Crop.draw(SampleRNG(0, i), 50, 100, 0.5)
        assert crop.top >= 0 and crop.top + crop.height <= 1 + 1e-9 and crop.width <= 1
        assert 20 < crop.height * 50 <= 50


def test_a_pair_gets_one_crop_and_lonely_files_are_named(pair_folder, tmp_path):
    store = PairStore(match_pairs(pair_folder), 64)
    a, b = store.draw(SampleRNG(0, 3), 32, 0.5)
    torch.testing.assert_close(a, b * 0.7 + 60 / 255, atol=0.01, rtol=0)
    for side in ("input", "target"):
        (tmp_path / side).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / side / f"only-{side}.png")
    with pytest.raises(FileNotFoundError, match=r"only-input, only-target"):
        match_pairs(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "input" / "only-input.jpg")
    with pytest.raises(ValueError, match=r"two files of one stem: only-input\.\w+, only-input"):
        match_pairs(tmp_path)


def test_pairs_of_different_sizes_are_refused(tmp_path):
    for side, size in (("input", 8), ("target", 9)):
        (tmp_path / side).mkdir()
        Image.new("RGB", (size, 8)).save(tmp_path / side / "a.png")
    with pytest.raises(ValueError, match="differ in size"):
        PairStore(match_pairs(tmp_path), 8)


def test_the_manifest_hash_sees_content_and_names(photo_folder, tmp_path):
    files = list_images(photo_folder)
    assert len(files) == 8
    first = manifest_hash(files, photo_folder)
    assert first == manifest_hash(reversed(files), photo_folder) != manifest_hash(files[1:], photo_folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no photo"):
        list_images(tmp_path / "empty")


def test_photos_are_kept_reduced_and_come_back_as_pixels(photo_folder):
    store = PhotoStore(list_images(photo_folder), 32)
    assert store.photos[0].shape == (3, 32, 43)
    assert (to_pixels(store.photos[0].float() / 255) == store.photos[0].permute(1, 2, 0).numpy()).all()
