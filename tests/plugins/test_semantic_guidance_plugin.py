"""The semantic guidance plugin, alone and behind the host, with a tiny network."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import ModelError
from models.hub import Catalog
from models.semantics.pipeline import Diagnosis, ScoredTag, Semantics
from models.semantics.vocabulary import vocabulary
from plugins.contract import Guidance, Picture, RunContext
from plugins.host.run import Host
from plugins.registry import Registry
from plugins.schema import FormError
from plugins.semantic_guidance.plugin import SemanticGuidance
from tests.catalogs import model_entry
from tests.plugins.fakes import Seen, loaded, noise, save

PARAMS = SemanticGuidance.Params


@pytest.fixture
def host(tiny_semantics, tmp_path, monkeypatch):
    """The real guide, and a restorer that records what it was given."""
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)
    entries = model_entry("tiny", "semantics", tiny_semantics, "embedded")
    (tmp_path / "catalog.toml").write_text(entries + model_entry("other", "dereflection", tiny_semantics))
    catalog = Catalog.load(tmp_path / "catalog.toml")
    registry = Registry.discover(catalog=catalog)
    Seen.given = []
    registry.enabled["seen"] = loaded(Seen, "seen", guidance=["caption", "tags"])
    registry.enabled["blind"] = loaded(Seen, "blind")
    return Host(registry, catalog)


@pytest.fixture
def photo(tmp_path):
    return save(tmp_path / "photo.png", noise(60, 80))


def seen() -> Semantics:
    """What the pipeline says of a photo of a songbird and a hound."""
    tags = [ScoredTag("bird", 0.5), ScoredTag("dog", 0.3), ScoredTag("nature", 0.2)]
    words = [ScoredTag("songbird", 0.5), ScoredTag("hound", 0.2), ScoredTag("beach or coast", 0.2)]
    kinds = {"sharp": 0.9, "motion": 0.1, "defocus": 0.0, "both": 0.0}
    return Semantics(tags, words, Diagnosis(0.1, 0.0, 0.1, 0.0, kinds, ()))


def test_a_photo_gets_tags_a_caption_and_who_said_so(host, photo):
    guidance, record = host.guide(photo, "semantic_guidance", {"most": 4})
    assert len(guidance.tags) == 4 and guidance.model == "tiny" and record["model"] == "tiny"
    scores = [tag.score for tag in guidance.tags]
    assert scores == sorted(scores, reverse=True) and 0 < scores[0] <= 1
    assert all(tag.name in guidance.caption for tag in guidance.tags)
    assert all(vocabulary().words[tag.name] == tag.broader for tag in guidance.tags)
    assert set(guidance.diagnosis) == {"reflection", "blur"}
    assert all(0 <= fault[key] <= 1 for fault in guidance.diagnosis.values() for key in ("likelihood", "strength"))
    assert guidance.diagnosis["blur"]["kind"] in guidance.diagnosis["blur"]["kinds"]
    assert host.guide(photo, "semantic_guidance", {"most": 4})[0] == guidance


def test_words_become_tags_and_unknown_ones_are_named(host, photo):
    guidance, record = host.guide(photo, "semantic_guidance", {"text": "My PUPPY,  zorp"})
    assert [tag.name for tag in guidance.tags] == ["dog"] and guidance.caption == "My PUPPY, zorp"
    assert guidance.model == "your words" and any("“zorp”" in note for note in record["notes"])


@pytest.mark.parametrize("text", ["zorp", "собака", "x" * 5000, "no dog"])
def test_words_without_a_tag_guide_nothing_and_say_so(host, photo, text):
    guidance, record = host.guide(photo, "semantic_guidance", {"text": text})
    assert guidance.tags == [] and guidance.caption == ""
    assert "No word of the guidance text is a tag: nothing was guided by it." in record["notes"]


def test_most_has_bounds_in_words(host, photo):
    with pytest.raises(FormError, match="most must be at most 28"):
        host.guide(photo, "semantic_guidance", {"most": 99})


def test_a_captioner_is_asked_only_when_named(host, photo, monkeypatch):
    plugin = SemanticGuidance()
    plugin._name, plugin._pipeline = "tiny", lambda _: seen()
    monkeypatch.setattr(SemanticGuidance, "_caption", lambda *_: "a dog by the sea")
    picture = Picture(np.zeros((8, 8, 3), np.float32))
    assert plugin.run(picture, PARAMS(), RunContext()).model == "tiny"
    said = plugin.run(picture, PARAMS(captioner="blip"), RunContext())
    assert said.caption == "a dog by the sea" and said.diagnosis and said.model == "tiny, caption by blip"


def test_a_captioner_adds_the_tags_it_names(monkeypatch):
    plugin = SemanticGuidance()
    plugin._name = "tiny"
    plugin._pipeline = lambda _: seen()
    monkeypatch.setattr(SemanticGuidance, "_caption", lambda *_: "a beagle, a dog by the sea")
    said = plugin.run(Picture(np.zeros((8, 8, 3), np.float32)), PARAMS(most=1, captioner="blip"), RunContext())
    assert [(tag.name, tag.score) for tag in said.tags] == [
        ("songbird", 0.5),
        ("hound", 0.2),
        ("dog", 0.3),
        ("nature", 0.2),
    ]


def test_an_unknown_captioner_is_an_error_that_names_it(host, photo):
    with pytest.raises(ModelError, match="no model 'nothing' for caption"):
        host.guide(photo, "semantic_guidance", {"captioner": "nothing"})
    with pytest.raises(ModelError, match="no model 'dereflection-small' for caption"):
        host.guide(photo, "semantic_guidance", {"captioner": "dereflection-small"})


def run(host, photo, tmp_path, step="seen", **options):
    outcome = host.restore(photo, [step], options=options, out_dir=tmp_path / "out")
    return outcome, Seen.given[-1][1].guidance


def test_off_is_as_before(host, photo, tmp_path):
    outcome, guidance = run(host, photo, tmp_path)
    assert guidance is None and outcome.record["guidance"] is None and outcome.record["plugin"] == "seen"
    again, _ = run(host, photo, tmp_path, guidance="off", guidance_text="dog")
    assert again.path.read_bytes() == outcome.path.read_bytes()
    assert "The guidance text was ignored: guidance is off." in again.record["notes"]


def test_automatic_is_what_the_guide_says(host, photo, tmp_path):
    outcome, guidance = run(host, photo, tmp_path, guidance="automatic")
    assert guidance == host.guide(photo, "semantic_guidance")[0]
    assert outcome.record["guidance"] == guidance.as_dict() and outcome.record["plugin"] == "seen"
    assert outcome.record["params"]["guidance"] == "automatic" and outcome.record["model"] is None


def test_edited_is_what_the_person_says(host, photo, tmp_path):
    outcome, guidance = run(host, photo, tmp_path, guidance="edited", guidance_text="bag, hat or shoe, zorp")
    assert [tag.name for tag in guidance.tags] == ["bag, hat or shoe"]
    assert outcome.record["guidance"]["model"] == "your words"
    assert outcome.record["params"]["guidance_text"] == "bag, hat or shoe, zorp"
    assert any("“zorp”" in note for note in outcome.record["notes"])


def test_edited_to_nothing_guides_nothing(host, photo, tmp_path):
    outcome, guidance = run(host, photo, tmp_path, guidance="edited", guidance_text=" ")
    assert guidance is None and "The guidance text is empty: nothing was guided by it." in outcome.record["notes"]


def test_a_restorer_without_guidance_says_so_and_asks_nobody(host, photo, tmp_path):
    outcome, guidance = run(host, photo, tmp_path, step="blind", guidance="automatic")
    assert guidance is None and outcome.record["guidance"] is None
    assert "Blind takes no guidance, so it ran without." in outcome.record["notes"]


def test_a_guide_among_the_steps_comes_before_the_option(host, photo, tmp_path):
    outcome = host.restore(
        photo, ["semantic_guidance", "seen"], {"semantic_guidance": {"text": "cat"}},
        {"guidance": "edited", "guidance_text": "dog"}, out_dir=tmp_path,
    )  # fmt: skip
    assert isinstance(Seen.given[-1][1].guidance, Guidance)
    assert [tag["name"] for tag in outcome.record["guidance"]["tags"]] == ["cat"]
    assert "A guide is among the steps: the option guidance was ignored." in outcome.record["notes"]


def test_without_a_guide_there_is_an_error_with_its_reason(host, photo, tmp_path):
    del host.registry.enabled["semantic_guidance"]
    with pytest.raises(Exception, match="There is no guide to ask: turn guidance off"):
        run(host, photo, tmp_path, guidance="automatic")
    with pytest.raises(FormError, match="guidance must be one of"):
        run(host, photo, tmp_path, guidance="sometimes")
