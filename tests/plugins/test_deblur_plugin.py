from __future__ import annotations

import numpy as np
import pytest

from models.hub import Catalog
from plugins.contract import Picture, PluginError, Progress, RunContext
from plugins.deblur.plugin import Deblurring
from plugins.registry import Registry
from tests.catalogs import model_entry
from tests.plugins.fakes import with_fake_pipeline


@pytest.fixture
def plugin():
    return with_fake_pipeline(Deblurring)


def test_layers_are_kept_on_request_and_the_dial_is_passed_on(plugin):
    picture = Picture(np.full((8, 9, 3), 0.5, np.float32))
    told = []
    context = RunContext(progress=Progress(lambda fraction, message: told.append((fraction, message))))
    result = plugin.run(picture, Deblurring.Params(detail=0.25), context)
    assert np.allclose(result.image, 0.45) and np.allclose(result.layers["prerestored"], 0.25)
    assert result.layers["motion"].shape == (8, 9, 3)
    assert result.info == {"plan": {"tiles": 2}, "notes": ["note"], "detail": 0.25}
    assert plugin._pipeline.options == {"linear": False}
    plugin.run(picture, Deblurring.Params(linear=True), RunContext())
    assert plugin._pipeline.options == {"linear": True}
    assert told == [(0.0, "tile 1 of 2"), (0.5, "tile 2 of 2"), (1.0, "tile 2 of 2")]
    assert plugin.run(picture, Deblurring.Params(keep_layers=False), RunContext()).layers == {}


@pytest.fixture
def no_model(monkeypatch, tmp_path) -> Catalog:
    """A catalog that has no model for deblurring."""
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)
    (tmp_path / "empty.toml").write_text("")
    return Catalog.load(tmp_path / "empty.toml")


@pytest.fixture
def catalog(tiny_deblur, tmp_path, monkeypatch) -> Catalog:
    """A user's own catalog, with a tiny network of random weights."""
    (tmp_path / "own.toml").write_text(model_entry("tiny", "deblur", tiny_deblur, default=True))
    (tmp_path / "empty.toml").write_text("")
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)
    monkeypatch.setenv("LIMPID_CATALOG", str(tmp_path / "own.toml"))
    return Catalog.load(tmp_path / "empty.toml")


def test_without_a_model_it_is_disabled_with_its_reason(no_model):
    registry = Registry.discover(catalog=no_model)
    assert "deblur" not in registry.enabled
    with pytest.raises(PluginError, match="'deblur' is disabled: No model for deblur is in the catalog: train one"):
        registry.get("deblur")


def test_a_model_in_a_catalog_of_ones_own_enables_it(catalog):
    registry = Registry.discover(catalog=catalog)
    assert "deblur" in registry.enabled
    assert [one.name for one in registry.enabled["deblur"].fields] == ["detail", "keep_layers", "linear"]
