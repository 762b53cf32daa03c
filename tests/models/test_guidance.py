"""Tags and text as guidance, on both restorers' tiny networks and on the checkpoints that ship."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from models.deblur.network import Deblur
from models.deblur.pipeline import DeblurPipeline
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.guidance import MAX_TAG_TOKENS, TagTokens, modulated
from models.loading import CONFIG
from tests.components import make_tiny_dai, make_tiny_deblur
from tests.weights import stir

TAGS = ("dog", "cat or fox", "bird", "car", "food", "tree")
CHECKPOINTS = Path(models.__file__).parent / "checkpoints"


def make(kind, seed=0):
    """A tiny network with tags, whose weights do something everywhere."""
    torch.manual_seed(seed)
    network = make_tiny_deblur() if kind is Deblur else kind.tiny()
    network.add_tags(TAGS)
    stir(network, 0.01)  # little enough for deblurring's guard
    torch.nn.init.normal_(network.guide.table)
    return network.eval()


@pytest.fixture(params=[(SmallDereflection, DereflectionPipeline), (Deblur, DeblurPipeline)], ids=["glass", "blur"])
def both(request):
    return request.param


@pytest.fixture
def pipeline(both):
    network, pipeline = both
    return pipeline(make(network))


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).random((64, 72, 3), dtype=np.float32)


def test_tokens_are_the_null_token_plus_vectors_by_score():
    torch.manual_seed(0)
    table, null = TagTokens(TAGS, 8), torch.randn(1, 1, 8)
    scores = torch.tensor([[0.0, 1.0, 0.5, 0.0, 0.0, 0.0], [0.0] * 6])
    assert torch.equal(table(scores, null), null.expand(2, MAX_TAG_TOKENS, 8))  # untrained, tags change nothing
    torch.nn.init.normal_(table.table)
    tokens = table(scores, null)
    vectors = table.table - table.table.mean(0)
    torch.testing.assert_close(tokens[0, 0], null[0, 0] + 8**0.5 * vectors[1])
    torch.testing.assert_close(tokens[0, 1], null[0, 0] + 0.5 * 8**0.5 * vectors[2])
    every = TagTokens(TAGS[:MAX_TAG_TOKENS], 8)
    torch.nn.init.normal_(every.table)  # all tags together say nothing
    torch.testing.assert_close(every(torch.ones(1, MAX_TAG_TOKENS), null).sum(1), MAX_TAG_TOKENS * null[:, 0])
    assert torch.equal(tokens[0, 2:], null[0].expand(MAX_TAG_TOKENS - 2, 8)) and torch.equal(
        tokens[1], tokens[0, 2:3].expand(MAX_TAG_TOKENS, 8)
    )
    assert torch.equal(table(scores[:1], null), tokens[:1])  # a sample does not depend on its batch


def test_names_are_read_in_any_case_and_the_rest_is_named():
    scores, unknown, beyond = TagTokens(TAGS, 8).read({" DOG": 0.5, "dog": 0.25, "yeti": 1.0, "bird": 7.0, "car": -1})
    assert scores.tolist() == [[0.5, 0, 1, 0, 0, 0]] and unknown == ["yeti"] and beyond == []
    assert TagTokens(TAGS, 8).read(dict.fromkeys(TAGS, 0.5) | {"tree": 0.6})[2] == ["car", "food"]
    with pytest.raises(ValueError, match="'dog' has no number"):
        TagTokens(TAGS, 8).read({"dog": math.nan})
    for names in (("dog", "Dog"), ("dog", " ")):
        with pytest.raises(ValueError, match="names that differ"):
            TagTokens(names, 8)


def test_tags_change_the_picture_and_none_is_the_restorer_alone(pipeline, both, photo):
    plain = pipeline(photo)
    guided = pipeline(photo, tags={"dog": 1.0})
    assert not np.array_equal(guided.image, plain.image) and guided.notes == plain.notes
    assert not np.array_equal(guided.image, pipeline(photo, tags={"bird": 1.0}).image)
    half = pipeline(photo, tags={"dog": 0.5}).image
    assert not np.array_equal(half, guided.image) and not np.array_equal(half, plain.image)
    network, _ = both
    bare = (make_tiny_deblur() if network is Deblur else network.tiny()).eval()
    own = pipeline.network.state_dict()
    bare.load_state_dict({k: value for k, value in own.items() if not k.startswith(("guide.", "modulation."))})
    alone = type(pipeline)(bare)
    assert np.array_equal(alone(photo).image, plain.image)
    said = alone(photo, tags={"dog": 1.0}, caption="a dog")
    assert np.array_equal(said.image, plain.image) and "trained without guidance" in said.notes[0]


def test_what_is_not_used_is_said(pipeline, photo):
    plain = pipeline(photo).image
    for tags, caption, sentence in (
        ({}, " ", "was empty"),
        ({}, "a dog", "the caption had no part"),
        ({"yeti": 1.0, "elf": 0.5}, "", "does not know 'yeti', 'elf'.*knows dog, cat or fox"),
        ({"dog": 0.0}, "", "No tag was left"),
    ):
        output = pipeline(photo, tags=tags, caption=caption)
        assert np.array_equal(output.image, plain), sentence

        assert re.search(sentence, " ".join(output.notes)), output.notes
    output = pipeline(photo, tags={"dog": 1.0, "yeti": 1.0})
    assert np.array_equal(output.image, pipeline(photo, tags={"dog": 1.0}).image) and "'yeti'" in output.notes[0]
    many = pipeline(photo, tags=dict.fromkeys(TAGS, 1.0))
    assert f"{MAX_TAG_TOKENS} strongest tags; food, tree had no part" in many.notes[0]


def test_tags_act_on_the_pre_reconstruction_and_text_in_the_step_alone(photo):
    pipeline = DeblurPipeline(make(Deblur))
    output, plain = pipeline(photo, tags={"dog": 1.0}, detail=0.0), pipeline(photo, detail=0.0)
    assert not np.array_equal(output.image, plain.image) and output.notes == plain.notes
    by_text = DeblurPipeline(make_tiny_deblur())
    by_text.text_model = "sana-text"
    by_text.text_encoder = lambda text: torch.ones(1, 3, by_text.network.token_dim)
    said = by_text(photo, caption="a dog", detail=0.0)
    assert np.array_equal(said.image, by_text(photo, detail=0.0).image)
    assert "a detail of 0 leaves out" in said.notes[0]


@pytest.mark.parametrize("kind", [SmallDereflection, Deblur])
def test_every_level_is_modulated_by_what_is_said_beyond_the_null_token(kind):
    network = make(kind)
    null = network.null_token.expand(2, 3, -1)
    assert network.modulations(None) is None
    for scale, shift in network.modulations(null):
        assert torch.equal(scale, torch.ones_like(scale)) and not shift.any()
    pairs = network.modulations(null + torch.randn(2, 1, network.token_dim))
    assert [scale.shape[1] for scale, _ in pairs] == list(network.modulated_channels)
    x = torch.rand(2, network.modulated_channels[-1], 4, 5)
    assert torch.equal(modulated(x, None, -1), x)
    scale, shift = pairs[-1]
    torch.testing.assert_close(modulated(x, pairs, len(pairs) - 1), x * scale + shift)


def test_the_tags_are_part_of_the_checkpoint(pipeline, photo, tmp_path):
    pipeline.save_pretrained(tmp_path, dtype="float32")
    again = type(pipeline).from_pretrained(tmp_path)
    assert again.network.guide.names == TAGS and tuple(again.network.config.tags) == TAGS
    told = {"tree": 1.0, "cat or fox": 0.5}
    # But for rounding: weights read from a file lie elsewhere in memory.
    np.testing.assert_allclose(again(photo, tags=told).image, pipeline(photo, tags=told).image, atol=1e-5)


@pytest.mark.parametrize("kind", [SmallDereflection, Deblur])
def test_a_new_table_changes_nothing_until_it_is_trained(kind, photo):
    network = make(kind)
    pipeline = DereflectionPipeline(network) if kind is SmallDereflection else DeblurPipeline(network)
    plain = pipeline(photo).image
    torch.nn.init.zeros_(network.guide.table)
    np.testing.assert_allclose(pipeline(photo, tags={"dog": 1.0}).image, plain, atol=1e-6)


def test_text_goes_through_the_encoder_of_a_checkpoint_that_takes_it(photo, tmp_path):
    network = make_tiny_dai()
    pipeline = DereflectionPipeline(network)
    plain = pipeline(photo)
    said = pipeline(photo, caption="a dog")  # as DAI's published checkpoint
    assert np.array_equal(said.image, plain.image) and "trained without guidance" in said.notes[0]
    pipeline.text_model = "sd21-text"
    pipeline.save_pretrained(tmp_path, dtype="float32")
    assert json.loads((tmp_path / CONFIG).read_text())["text_encoder"] == "sd21-text"
    again = DereflectionPipeline.from_pretrained(tmp_path)
    said = again(photo, tags={"dog": 0.5, "cat": 0.25})
    assert np.array_equal(said.image, again(photo).image) and "text encoder, which is not loaded" in said.notes[0]
    heard = []

    def encode(text: str) -> torch.Tensor:
        heard.append(text)
        return torch.randn(1, 5, network.token_dim, generator=torch.Generator().manual_seed(len(text)))

    again.text_encoder = encode
    outputs = [again(photo, tags={"dog": 0.5, "cat": 0.25}), again(photo, tags={"dog": 1.0}, caption="a red car")]
    assert heard == ["dog, cat", "a red car"] and outputs[0].notes == []
    assert not np.array_equal(outputs[0].image, outputs[1].image)


def test_the_checkpoints_that_ship_say_whether_they_take_tags(photo):
    for name, kind in (("dereflection-small", DereflectionPipeline), ("deblur-small", DeblurPipeline)):
        pipeline = kind.from_pretrained(CHECKPOINTS / name)
        plain, said = pipeline(photo), pipeline(photo, tags={"dog": 1.0})
        assert ("without guidance" in " ".join(said.notes)) == (pipeline.network.guide is None)
        if pipeline.network.guide is None:
            assert np.array_equal(plain.image, said.image)
