import numpy as np
import pytest
import torch

from training.data.sources import held_out
from training.tasks.deblur.config import BlurDataConfig
from training.tasks.deblur.dataset import Blurs


def config(folder, **more) -> BlurDataConfig:
    return BlurDataConfig(root=folder, clean=["."], store_side=64, **more)


def test_the_split_is_by_name_and_has_no_overlap(photo_folder):
    settings = config(photo_folder, hold_out=0.4)
    a, b = (set(Blurs(settings, 0, validation=v).photos.files) for v in (False, True))
    assert a and b and not a & b and len(a | b) == 8
    assert all(held_out(f.stem, 0.4) for f in b)


def test_batches_depend_on_indices_alone(photo_folder):
    data = Blurs(config(photo_folder), 5)
    together = data.batch([3, 9, 4], 48)
    single = data.batch([9], 48)
    torch.testing.assert_close(single["input"], together["input"][1:2], atol=1 / 255 + 1e-5, rtol=0)
    torch.testing.assert_close(single["motion"], together["motion"][1:2], atol=1e-3, rtol=0)
    assert together["input"].shape == together["target"].shape == (3, 3, 48, 48)
    assert together["motion"].shape == (3, 2, 48, 48) and together["defocus"].shape == (3, 1, 48, 48)
    other = Blurs(config(photo_folder), 5, validation=True).batch([9], 48)
    assert not torch.allclose(other["input"], single["input"])


def test_nobody_knows_the_motion_of_a_real_pair(photo_folder, pair_folder):
    settings = config(photo_folder, pairs={str(pair_folder): 1.0}, pair_share=0.5, hold_out=0)
    data = Blurs(settings, 2)
    batch = data.batch(range(24), 32)
    real = batch["real"]
    assert 4 < int(real.sum()) < 20
    for name in ("motion", "defocus"):
        assert torch.isnan(batch[name][real]).all() and torch.isfinite(batch[name][~real]).all()
    # The made pairs are targets under a veil of light.
    veiled = batch["target"][real] * 0.7 + 60 / 255
    torch.testing.assert_close(batch["input"][real], veiled, atol=0.02, rtol=0)
    assert len(data.manifest()) == 64


def test_a_share_of_the_samples_has_no_colour(photo_folder):
    coloured = Blurs(config(photo_folder), 5).batch(range(24), 32)
    some = Blurs(config(photo_folder, gray=0.4), 5).batch(range(24), 32)
    gray = (some["input"].std(1) == 0).flatten(1).all(1)
    assert 4 < int(gray.sum()) < 16
    for name in ("input", "target"):
        torch.testing.assert_close(some[name][~gray], coloured[name][~gray])
        torch.testing.assert_close(some[name][gray], coloured[name][gray].mean(1, keepdim=True).expand(-1, 3, -1, -1))
    torch.testing.assert_close(some["motion"], coloured["motion"])


def test_only_real_pairs_or_none_at_all(photo_folder, pair_folder):
    settings = config(photo_folder, pairs={str(pair_folder): 1.0}, pair_share=1.0)
    assert Blurs(settings, 0).batch(range(3), 32)["real"].all()
    assert not Blurs(config(photo_folder), 0).batch(range(3), 32)["real"].any()


def test_kernels_are_read_from_below_the_root(photo_folder, tmp_path):
    settings = config(tmp_path, blur={"families": {"others": 0, "kernels": 1}, "kernels": "given", "clean": 0})
    settings = settings.model_copy(update={"clean": [str(photo_folder)]})
    with pytest.raises(FileNotFoundError, match="no kernels in .*given.*weight 0"):
        Blurs(settings, 0)
    (tmp_path / "given").mkdir()
    np.save(tmp_path / "given" / "line.npy", np.eye(7))
    batch = Blurs(settings, 0).batch([0, 1], 64)
    assert (batch["motion"].norm(dim=1) > 0.5).all()


@pytest.mark.parametrize("wrong", [np.zeros((5, 5)), np.ones(5), np.full((3, 3), np.nan)])
def test_a_file_that_is_no_kernel_is_named(photo_folder, tmp_path, wrong):
    np.save(tmp_path / "odd.npy", wrong)
    settings = config(photo_folder, blur={"families": {"kernels": 1}, "kernels": str(tmp_path)})
    with pytest.raises(ValueError, match="odd.npy is no blur kernel"):
        Blurs(settings, 0)
