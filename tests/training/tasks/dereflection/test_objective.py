import pytest
import torch

from models.dereflection.small import SmallDereflection
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.dereflection.objective import build_objective


def config(**data) -> DereflectionRun:
    sizes = {"sizes": [64], "crop": 32, "whole": 32} | data
    return DereflectionRun(name="x", objective="local", data=sizes, validation_size=64, batch=4, micro_batch=4)


def test_views_of_a_scene_are_cut_alike_and_scenes_are_not():
    picture = torch.rand(1, 3, 64, 64).expand(4, -1, -1, -1)
    objective = build_objective(SmallDereflection.tiny(), config(views=2))
    output, target = objective.compare(picture, picture, [6, 7, 8, 9])
    assert output.shape == target.shape == (4, 3, 32, 32)
    assert torch.equal(target[0], target[1]) and torch.equal(target[2], target[3])
    assert not torch.equal(target[0], target[2])
    assert torch.equal(output, target)  # an untrained network is the identity: both were cut at one place


def test_without_views_every_sample_has_its_own_crop():
    picture = torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1)
    _, target = build_objective(SmallDereflection.tiny(), config()).compare(picture, picture, [6, 7])
    assert not torch.equal(target[0], target[1])


@pytest.mark.parametrize("sizes", [{"crop": 0}, {"crop": 30}, {"whole": 40}, {"crop": 96}])
def test_sizes_that_do_not_suit_the_network_are_named(sizes):
    with pytest.raises(ValueError, match=r"data\.crop"):
        build_objective(SmallDereflection.tiny(), config(**sizes))
