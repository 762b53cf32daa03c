import torch

from training.data.sources import held_out
from training.tasks.dereflection.config import DataConfig
from training.tasks.dereflection.dataset import Reflections


def plain(folder, **more) -> DataConfig:
    """Simulated glass in every sample, without what would hide a difference of poses."""
    glass = {"clean": 0, "exposure": 0, "jpeg": 0, "noise": 0, "strength": [0.3, 0.6]}
    return DataConfig(root=folder, clean=["."], store_side=64, glass=glass, **more)


def test_the_split_is_by_name_and_has_no_overlap(photo_folder):
    config = DataConfig(root=photo_folder, clean=["."], hold_out=0.4, store_side=32)
    train, validation = Reflections(config, 0), Reflections(config, 0, validation=True)
    a, b = set(train.photos.files), set(validation.photos.files)
    assert a and b and not a & b and len(a | b) == 8
    assert all(held_out(f.stem, 0.4) for f in b)


def test_batches_depend_on_indices_alone(photo_folder):
    data = Reflections(DataConfig(root=photo_folder, clean=["."], store_side=64), 5)
    together = data.batch([3, 9, 4], 48)
    torch.testing.assert_close(data.batch([9], 48)["input"], together["input"][1:2], atol=1 / 255 + 1e-5, rtol=0)
    assert together["input"].shape == together["target"].shape == (3, 3, 48, 48)


def test_views_of_a_scene_share_the_target_and_not_the_reflection(photo_folder):
    batch = Reflections(plain(photo_folder, views=3), 1).batch(range(6), 48)
    target, photo = batch["target"].unflatten(0, (2, 3)), batch["input"].unflatten(0, (2, 3))
    for scene in range(2):
        for view in (1, 2):
            torch.testing.assert_close(target[scene, 0], target[scene, view], atol=1e-5, rtol=0)
            assert (photo[scene, 0] - photo[scene, view]).abs().mean() > 1e-3
    assert not torch.allclose(target[0, 0], target[1, 0])


def test_real_pairs_take_the_place_of_whole_scenes(photo_folder, pair_folder):
    config = plain(photo_folder, views=2, pairs={str(pair_folder): 1.0}, pair_share=0.5, hold_out=0)
    batch = Reflections(config, 2).batch(range(40), 32)
    real = batch["real"].unflatten(0, (-1, 2))
    assert (real[:, 0] == real[:, 1]).all() and 4 < int(real[:, 0].sum()) < 16
    views = batch["target"].unflatten(0, (-1, 2))[real[:, 0]]
    assert not torch.allclose(views[:, 0], views[:, 1])  # two draws, not one twice
