"""The automatic choice of steps: by the diagnosis of the guide, with restorers that tell what they did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins.contract import Guidance, PluginError
from plugins.host.automatic import chosen, is_automatic
from plugins.host.run import Host
from plugins.schema import FormError
from tests.plugins.fakes import Darken, Looker, loaded, noise, registry, save


class Doctor(Looker):
    """A guide that finds what it is told to."""

    found: tuple[str, ...] = ()

    def run(self, picture: Any, params: Any, ctx: Any) -> Any:
        faults = {
            fault: {"likelihood": 0.9 if fault in self.found else 0.125, "strength": 0.5, "found": fault in self.found}
            for fault in ("reflection", "blur")
        }
        return Guidance("", [], "doctor-1", faults)


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr(Doctor, "found", ())
    return Host(
        registry(
            loaded(Darken, "deblur"),
            loaded(Darken, "dereflection"),
            loaded(Darken, "other"),
            loaded(Doctor, "semantic_guidance", kind="guide"),
        )
    )


@pytest.fixture
def photo(tmp_path):
    return save(tmp_path / "photo.png", noise(60, 80))


def samples(path) -> np.ndarray:
    return np.array(Image.open(path))


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        (("reflection",), ["dereflection"]),
        (("blur",), ["deblur"]),
        (("blur", "reflection"), ["dereflection", "deblur"]),
    ],
)
def test_the_steps_are_those_that_the_diagnosis_calls_for(host, photo, tmp_path, monkeypatch, found, steps):
    monkeypatch.setattr(Doctor, "found", found)
    outcome = host.restore(photo, ["auto"], {"deblur": {"times": 2}}, out_dir=tmp_path / "auto")
    named = host.restore(
        photo, steps, {"deblur": {"times": 2}} if "deblur" in steps else {}, out_dir=tmp_path / "named"
    )
    assert outcome.path.read_bytes() == named.path.read_bytes()
    record = outcome.record
    assert record["steps"] == steps and set(record["model"]) == set(steps) and "plugin" not in record
    assert record["diagnosis"]["blur"]["found"] == ("blur" in found) and named.record["diagnosis"] is None
    assert any(note.startswith("Automatic: ") and "(likelihood 0.90)" in note for note in record["notes"])
    assert set(record["params"]) >= set(steps) and record["params"]["strength"] == 1.0


class Knowing(Darken):
    """A restorer that finds its own fault, or says nothing."""

    says: dict[str, Any] | None = None

    def examine(self, picture: Any, ctx: Any) -> Any:
        assert picture.pixels.shape == (60, 80, 3)
        return self.says


@pytest.mark.parametrize("found", [True, False])
def test_a_restorer_that_examines_the_photo_is_believed_rather_than_the_guide(photo, tmp_path, monkeypatch, found):
    said = {"likelihood": 0.75 if found else 0.25, "found": found, "change": 0.1}
    monkeypatch.setattr(Knowing, "says", said)
    monkeypatch.setattr(Doctor, "found", () if found else ("reflection",))
    plugins = [loaded(Knowing, "dereflection"), loaded(Darken, "deblur")]
    host = Host(registry(*plugins, loaded(Doctor, "semantic_guidance", kind="guide")))
    record = host.restore(photo, ["auto"], out_dir=tmp_path / "out").record
    assert record["steps"] == (["dereflection"] if found else [])
    assert record["diagnosis"]["reflection"] == {"strength": 0.5, **said, "by": "dereflection"}
    monkeypatch.setattr(Knowing, "says", None)
    record = host.restore(photo, ["auto"], out_dir=tmp_path / "out").record
    assert record["steps"] == ([] if found else ["dereflection"]) and "by" not in record["diagnosis"]["reflection"]


def test_only_restorers_that_examine_or_run_are_loaded(photo, tmp_path, monkeypatch):
    class Sleeping(Darken):
        loads = 0

    monkeypatch.setattr(Knowing, "says", {"likelihood": 0.9, "found": True})
    plugins = [loaded(Knowing, "dereflection"), loaded(Sleeping, "deblur")]
    host = Host(registry(*plugins, loaded(Doctor, "semantic_guidance", kind="guide")))
    assert host.restore(photo, ["auto"], out_dir=tmp_path / "out").record["steps"] == ["dereflection"]
    assert Sleeping.loads == 0


@pytest.mark.parametrize("deep", [False, True])
def test_a_photo_with_nothing_wrong_comes_back_untouched_and_the_record_says_why(host, tmp_path, deep):
    if deep:
        from tests.plugins.fakes import png16

        photo = png16(tmp_path / "photo.png", noise(40, 50, 3, np.uint16))
    else:
        photo = save(tmp_path / "photo.png", noise(40, 50, 4))
    outcome = host.restore(photo, ["auto"], options={"guidance": "automatic"}, out_dir=tmp_path / "out")
    from plugins.host import pictures

    assert np.array_equal(pictures.read(outcome.path).samples, pictures.read(photo).samples)
    assert np.array_equal(samples(outcome.path), samples(photo)) and outcome.layers == []
    record = outcome.record
    assert record["steps"] == [] and record["model"] == record["plan"] == {} and record["device"] is None
    why = "neither a reflection (likelihood 0.12) nor blur (likelihood 0.12) was found, so the photo was left as it is."
    assert f"Automatic: {why}" in record["notes"] and record["guidance"] is None
    assert outcome.before and outcome.after


def test_parameters_of_either_restorer_may_be_given_and_of_no_other(host, photo, tmp_path):
    host.restore(photo, ["auto"], {"deblur": {}, "dereflection": {"times": 2}}, out_dir=tmp_path)
    with pytest.raises(FormError, match="'other', which is not among the steps"):
        host.restore(photo, ["auto"], {"other": {}}, out_dir=tmp_path)


def test_auto_stands_alone_and_needs_a_diagnosis(host, photo, tmp_path, monkeypatch):
    assert is_automatic(["auto"]) and not is_automatic(["deblur"])
    for steps in (["auto", "deblur"], ["auto", "auto"]):
        with pytest.raises(PluginError, match="'auto' stands alone"):
            host.restore(photo, steps, out_dir=tmp_path)
    with pytest.raises(PluginError, match="gave no diagnosis"):
        chosen({"blur": {}}, "Looker")
    monkeypatch.setattr(Doctor, "run", Looker.run)
    with pytest.raises(PluginError, match="Semantic_guidance.*no diagnosis"):
        host.restore(photo, ["auto"], out_dir=tmp_path)


@pytest.mark.parametrize("missing", ["semantic_guidance", "dereflection", "deblur"])
def test_what_cannot_be_used_is_an_error_that_names_it(host, photo, tmp_path, missing):
    del host.registry.enabled[missing]
    host.registry.disabled.append((missing, "its model was altered."))
    with pytest.raises(PluginError, match=f"'{missing}' is disabled: its model was altered"):
        host.restore(photo, ["auto"], out_dir=tmp_path)
    assert not list(tmp_path.glob("*restored*"))


def test_the_cost_is_that_of_all_that_may_run(host, photo):
    assert host.cost(photo, ["auto"]).seconds == pytest.approx(0.1 + 2 * 60 * 80 / 1e6)
