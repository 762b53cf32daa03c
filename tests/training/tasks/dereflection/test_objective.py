import pytest
import torch
import torch.nn.functional as F

from models.dereflection.small import SmallDereflection
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.dereflection.dataset import local_view
from training.tasks.dereflection.objective import build_objective


def config(**data) -> DereflectionRun:
    sizes = {"sizes": [64], "crop": 32, "whole": 32} | data
    return DereflectionRun(name="x", objective="local", data=sizes, validation_size=64, batch=4, micro_batch=4)


def test_views_of_a_scene_are_cut_alike_and_scenes_are_not():
    picture, settings = torch.rand(1, 3, 64, 64).expand(4, -1, -1, -1), config(views=2)
    batch = local_view({"input": picture, "target": picture}, [6, 7, 8, 9], 0, settings.data)
    output, target = build_objective(SmallDereflection.tiny(), settings).output(batch), batch["target"]
    assert output.shape == target.shape == (4, 3, 32, 32) and batch["whole"].shape == target.shape
    assert torch.equal(target[0], target[1]) and torch.equal(target[2], target[3])
    assert not torch.equal(target[0], target[2])
    assert torch.equal(output, target)  # an untrained network is the identity: both were cut at one place


def test_without_views_every_sample_has_its_own_crop():
    picture = torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1)
    target = local_view({"input": picture, "target": picture}, [6, 7], 0, config().data)["target"]
    assert not torch.equal(target[0], target[1])


def test_the_grid_is_where_the_crop_lies_in_the_reduced_photo():
    picture, maps = torch.rand(3, 3, 64, 64), torch.rand(3, 6, 32, 32)
    batch = local_view({"input": picture, "target": picture}, range(3), 5, config().data)
    enlarged = F.interpolate(maps, (64, 64), mode="bilinear")
    sampled = F.grid_sample(maps, batch["grid"], padding_mode="border", align_corners=False)
    for n, crop in enumerate(batch["input"]):
        corners = [(y, x) for y in range(33) for x in range(33)]
        ((y, x),) = [(y, x) for y, x in corners if torch.equal(picture[n, :, y : y + 32, x : x + 32], crop)]
        torch.testing.assert_close(sampled[n], enlarged[n, :, y : y + 32, x : x + 32], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sizes", [{"crop": 0}, {"crop": 30}, {"whole": 40}, {"crop": 96}])
def test_sizes_that_do_not_suit_the_network_are_named(sizes):
    with pytest.raises(ValueError, match=r"data\.crop"):
        build_objective(SmallDereflection.tiny(), config(**sizes))
