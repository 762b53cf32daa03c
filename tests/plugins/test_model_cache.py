"""Loading of models by the host, and the cache of those loaded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from models.runtime import Runtime
from plugins.host import loading
from plugins.host.run import Host
from tests.plugins.fakes import Darken, loaded, noise, registry, save


@pytest.fixture
def photo(tmp_path):
    return save(tmp_path / "photo.png", noise(12, 16))


def test_models_are_loaded_once_and_the_oldest_is_freed(host, photo, tmp_path):
    for _ in range(3):
        host.restore(photo, ["darken"], out_dir=tmp_path)
    assert Darken.loads == 1
    host.restore(photo, ["pieces"], out_dir=tmp_path)
    host.restore(photo, ["darken"], out_dir=tmp_path)
    host.restore(photo, ["seen"], out_dir=tmp_path)
    host.restore(photo, ["darken"], out_dir=tmp_path)
    assert Darken.loads == 2  # three are kept
    host.restore(photo, ["parts"], out_dir=tmp_path)
    host.restore(photo, ["darken"], out_dir=tmp_path)
    assert Darken.loads == 2  # "pieces" went
    host.restore(photo, ["pieces"], out_dir=tmp_path)
    assert Darken.loads == 3
    assert loading.MAX_LOADED_MODELS == 3 and len(host._models._ready) == 3


def test_when_memory_is_short_for_loading_the_others_are_freed_first(host, photo, tmp_path):
    class Big(Darken):
        def load(self, model, ctx):
            if host._models._ready:
                raise MemoryError

    host.registry = registry(loaded(Darken, "darken"), loaded(Big, "big"))
    host.restore(photo, ["darken"], out_dir=tmp_path)
    host.restore(photo, ["big"], out_dir=tmp_path)
    assert [key[0] for key in host._models._ready] == ["big"]


def test_a_plugin_runs_at_a_precision_it_has(host, photo, tmp_path, monkeypatch):
    def probe(dtype=None, **more):
        return Runtime("cpu", dtype or "bfloat16", "sdpa", "test")

    monkeypatch.setattr(loading.runtimes, "probe", probe)
    host.registry = registry(loaded(Darken, "one"), loaded(Darken, "two", precisions=["float32", "bfloat16"]))
    outcome = host.restore(photo, ["one", "two"], out_dir=tmp_path)
    assert outcome.record["dtype"] == {"one": "float32", "two": "bfloat16"}


def test_a_models_notes_are_those_of_the_request(monkeypatch, photo, tmp_path):
    told = iter([("altered, so another was used",), ()])

    def resolve_for(task, model, catalog):
        return SimpleNamespace(id="m", revision="1", notes=next(told))

    monkeypatch.setattr(loading.hub, "resolve_for", resolve_for)
    host = Host(registry(loaded(Darken, "darken", task="things")))
    notes = [host.restore(photo, ["darken"], out_dir=tmp_path).record["notes"] for _ in range(2)]
    assert notes == [["altered, so another was used", "darkened"], ["darkened"]]
