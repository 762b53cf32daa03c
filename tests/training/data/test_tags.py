import pytest
import torch

from models.semantics.vocabulary import vocabulary
from training.core.config import GuidanceConfig
from training.data.semantic import split_of
from training.data.tags import TrueTags, wrong_tags
from training.tasks.deblur.config import BlurDataConfig
from training.tasks.deblur.dataset import Blurs
from training.tasks.dereflection.config import DataConfig
from training.tasks.dereflection.dataset import Reflections


@pytest.fixture(params=[(Reflections, DataConfig), (Blurs, BlurDataConfig)], ids=["glass", "blur"])
def source(request, named_photos):
    kind, config = request.param

    def make(validation=False, **settings):
        settings = {"root": named_photos, "clean": ["."], "store_side": 64, "hold_out": 0.0} | settings
        return kind(config(**settings), 5, validation)

    return make


def test_a_sample_has_the_tag_of_its_photos_class(source):
    data = source(guidance=GuidanceConfig(dropout=0.0))
    assert len(data.photos) == 8  # the test class is left out
    batch = data.batch(range(60), 32)
    tags = batch["tags"]
    assert tags.shape == (60, len(vocabulary().tags)) and set(tags.sum(1).tolist()) == {0.0, 1.0}
    assert set(tags.argmax(1)[tags.any(1)].tolist()) == {0, 1, 2}
    assert 5 < int((~tags.any(1)).sum()) < 30  # two of eight photos have no class
    again = data.batch([17, 3], 32)["tags"]
    assert torch.equal(again, tags[[17, 3]])  # a sample's tags depend on its index alone


def test_dropout_takes_tags_away_and_leaves_the_pictures(source):
    batches = {
        dropout: source(guidance=GuidanceConfig(dropout=dropout)).batch(range(80), 32) for dropout in (0.0, 0.5, 1.0)
    }
    told, some, none = (int(batches[d]["tags"].any(1).sum()) for d in (0.0, 0.5, 1.0))
    assert none == 0 and 0.3 * told < some < 0.7 * told
    assert torch.equal(batches[0.0]["input"], batches[0.5]["input"])
    kept = batches[0.5]["tags"].any(1)
    assert torch.equal(batches[0.5]["tags"][kept], batches[0.0]["tags"][kept])


def test_without_guidance_there_are_no_tags_and_validation_is_told_all(source):
    assert "tags" not in source().batch([0, 1], 32) and len(source().photos) == 9
    held = source(validation=True, guidance=GuidanceConfig(dropout=1.0))
    assert not any(split_of(file) == "test" for file in held.photos.files)
    assert held.batch(range(20), 32)["tags"].any()


def test_views_of_a_scene_are_told_alike_and_real_pairs_nothing(named_photos, pair_folder):
    guidance = GuidanceConfig(dropout=0.5)
    config = DataConfig(root=named_photos, clean=["."], store_side=64, views=2, guidance=guidance)
    tags = Reflections(config, 1).batch(range(40), 32)["tags"]
    assert torch.equal(tags[0::2], tags[1::2]) and 0 < int(tags.any(1).sum()) < 40
    config = config.model_copy(update={"pairs": {str(pair_folder): 1.0}, "pair_share": 0.5, "layer_share": 0.5})
    batch = Reflections(config, 1).batch(range(40), 32)
    assert batch["real"].any() and not batch["tags"][batch["real"]].any() and batch["tags"].any()


def test_photos_without_a_class_that_may_be_learnt_are_an_error(photo_folder):
    with pytest.raises(ValueError, match=r"data\.guidance needs photos whose names begin"):
        Reflections(DataConfig(root=photo_folder, clean=["."], guidance=GuidanceConfig()), 0)


def test_a_wrong_tag_is_another_one():
    right = TrueTags(["n02085620_dog.png", "other.png"], 0.0, 0).of([0, 1], [0, 1])
    wrong = wrong_tags(right)
    assert wrong.sum(1).tolist() == [1.0, 0.0] and not (wrong * right).any()
