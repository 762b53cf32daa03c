"""The image side of semantic guidance, at tiny size."""

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.semantics.network import (
    KINDS,
    Findings,
    SemanticsNetwork,
    detail_size,
    moments,
    whole_size,
)
from models.semantics.pipeline import SemanticsPipeline
from models.semantics.vocabulary import vocabulary


@pytest.fixture(scope="module")
def pipeline(tiny_semantics):
    return SemanticsPipeline.from_pretrained(tiny_semantics)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def test_a_photo_gets_every_tag_and_word_the_likeliest_first(pipeline):
    seen = pipeline(noise(50, 90))
    for found, names in ((seen.tags, vocabulary().tags), (seen.words, vocabulary().words)):
        assert {tag.name for tag in found} == set(names)
        scores = [tag.score for tag in found]
        assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-4)
    assert pipeline(noise(50, 90)) == seen


def test_a_tag_is_as_likely_as_its_words_together(pipeline):
    seen = pipeline(noise(64, 64))
    words = {word.name: word.score for word in seen.words}
    for tag in seen.tags:
        mine = sum(words[word] for word, of in vocabulary().words.items() if of == tag.name)
        assert tag.score == pytest.approx(mine, abs=1e-5)


@torch.no_grad()
def test_activation_maps_are_the_classifier_at_every_place(pipeline):
    network = pipeline.network
    features = network.features(torch.rand(2, 3, 64, 96))
    maps = network.activation_maps(features, [5, 900])
    assert maps.shape == (2, 2, 2, 3)
    assert torch.allclose(maps.mean((2, 3)), network.classify(features)[:, [5, 900]], atol=1e-5)
    assert torch.equal(
        network(torch.zeros(1, 3, 32, 32)), network.classify(network.features(torch.zeros(1, 3, 32, 32)))
    )


def test_moments_are_those_of_each_cell():
    x = torch.rand(2, 3, 8, 8)
    mean, spread = moments(x, 2)
    cell = x[1, 2, :4, 4:]
    assert mean[1, 2, 1] == pytest.approx(float(cell.mean()), abs=1e-5)
    assert spread[1, 2, 1].exp() == pytest.approx(float((cell.var(correction=0) + 1e-4).sqrt()), rel=1e-3)


@torch.no_grad()
def test_what_the_diagnosis_reads_changes_with_blur(pipeline):
    network = pipeline.network
    sharp = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False)
    rows = [network.statistics(network.features(x), x) for x in (sharp, blurred)]
    count = sum(network.encoder.channels[:3])
    assert rows[0].shape == (1, network.whole_statistics + 4 * count)
    spread = [
        row[0, network.whole_statistics + network.encoder.channels[0] :][: network.encoder.channels[0]] for row in rows
    ]
    assert (spread[0] > spread[1]).float().mean() > 0.8


def test_the_diagnosis_is_calibrated_and_found_by_its_thresholds(pipeline):
    network = SemanticsNetwork(**{**pipeline.network.config, "temperatures": (2.0, 0.5), "thresholds": (0.7, 0.3)})
    said = Findings(torch.tensor([2.0]), torch.zeros(1), torch.tensor([[0.0, 0.5, 0.0, 0.0]]), torch.zeros(1))
    network.diagnose = lambda _: said
    found = SemanticsPipeline(network).diagnosis(torch.zeros(1, 1))
    assert found.reflected == pytest.approx(torch.tensor(1.0).sigmoid().item()) and found.reflection == 0.5
    assert found.kinds["motion"] == pytest.approx(np.e / (np.e + 3), abs=1e-5) and sum(
        found.kinds.values()
    ) == pytest.approx(1)
    assert found.blurred == pytest.approx(1 - found.kinds["sharp"])
    assert found.found == ("reflection", "blur") and found.kind == "motion"
    network.register_to_config(thresholds=(0.8, 0.95))
    found = SemanticsPipeline(network).diagnosis(torch.zeros(1, 1))
    assert found.found == () and found.kind == KINDS[0]


@pytest.mark.parametrize(("height", "width"), [(30, 40), (3000, 4000), (4000, 300), (1, 5000), (33, 33)])
def test_the_sizes_it_looks_at_are_bounded_and_keep_the_shape(height, width):
    for sides in (whole_size(height, width, 224), detail_size(height, width, 384)):
        assert all(side >= 32 and side % 32 == 0 for side in sides)
    assert np.prod(whole_size(height, width, 224)) <= 1.6 * 224**2
    assert max(detail_size(height, width, 384)) <= 768
    if (height, width) == (3000, 4000):
        assert whole_size(height, width, 224) == (192, 256) and detail_size(height, width, 384) == (384, 512)
    if (height, width) == (30, 40):  # never enlarged
        assert detail_size(height, width, 384) == (32, 32)


def test_time_does_not_grow_with_the_photo(pipeline):
    """A large photo is thinned out first; the network sees about as many pixels of each."""
    seen = []
    hook = pipeline.network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))
    for side in (96, 4096):
        pipeline(np.broadcast_to(np.float32(0.5), (side, side, 3)))
    hook.remove()
    assert seen == [(32, 32)] * 2
    assert pipeline.thin(np.zeros((4096, 2048, 3), np.float32)).shape == (256, 128, 3)


def test_thinning_keeps_what_the_photo_shows(pipeline):
    column = np.linspace(0, 1, 1024, dtype=np.float32)[:, None, None]
    thinned = pipeline.thin(np.broadcast_to(column, (1024, 1200, 3)))
    assert thinned.shape == (128, 150, 3)
    assert abs(thinned[:, 0, 0] - column[::8, 0, 0]).max() < 8 / 1024


def test_what_is_no_photo_is_refused(pipeline):
    with pytest.raises(ValueError, match="H x W x 3"):
        pipeline(np.zeros((8, 8), np.float32))
    with pytest.raises(ValueError, match="not finite"):
        pipeline(np.full((8, 8, 3), np.nan, np.float32))


def test_a_folder_of_another_kind_is_refused_by_name(tiny_pipeline):
    with pytest.raises(ModelError, match="not a SemanticsPipeline"):
        SemanticsPipeline.from_pretrained(tiny_pipeline)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="multiples of 32; got 100"):
        SemanticsNetwork(size=100)


def test_half_precision_on_disk_gives_the_same_answer(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "half")
    first, second = pipeline(noise(60, 60)), SemanticsPipeline.from_pretrained(tmp_path / "half")(noise(60, 60))
    kept = {tag.name: tag.score for tag in second.words}
    assert all(kept[tag.name] == pytest.approx(tag.score, abs=0.02) for tag in first.words)
    assert second.diagnosis.reflected == pytest.approx(first.diagnosis.reflected, abs=0.02)
