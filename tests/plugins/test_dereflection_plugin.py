from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from models.errors import ModelError
from models.hub import Catalog
from plugins.contract import Picture, Progress, RunContext
from plugins.dereflection.plugin import Dereflection
from plugins.host import pictures
from plugins.host.run import Host
from plugins.registry import Registry
from tests.catalogs import model_entry
from tests.plugins.fakes import noise, save, with_fake_pipeline


@pytest.fixture
def plugin():
    return with_fake_pipeline(Dereflection)


def test_the_removed_layer_is_kept_on_request(plugin):
    picture = Picture(np.full((8, 9, 3), 0.5, np.float32))
    told = []
    context = RunContext(progress=Progress(lambda fraction, message: told.append((fraction, message))))
    result = plugin.run(picture, Dereflection.Params(), context)
    assert np.allclose(result.image, 0.45) and np.allclose(result.layers["reflection"], 0.05)
    assert result.info == {"plan": {"tiles": 2}, "notes": ["note"]}
    assert told == [(0.0, "tile 1 of 2"), (0.5, "tile 2 of 2"), (1.0, "tile 2 of 2")]
    assert plugin.run(picture, Dereflection.Params(keep_layer=False), RunContext()).layers == {}


def test_a_mask_is_a_hint_unless_it_is_white_all_over_or_that_is_turned_off(plugin):
    pixels, mask = np.full((8, 9, 3), 0.5, np.float32), np.zeros((8, 9), np.float32)
    mask[2:4] = 1
    plugin.run(Picture(pixels, mask), Dereflection.Params(), RunContext())
    assert plugin._pipeline.options["hint"] is mask
    for shown, params in ((None, {}), (np.ones((8, 9), np.float32), {}), (mask, {"mask_hint": False})):
        plugin.run(Picture(pixels, shown), Dereflection.Params(**params), RunContext())
        assert plugin._pipeline.options["hint"] is None


@pytest.fixture
def catalog(tiny_pipeline, tmp_path, monkeypatch):
    """A catalog whose embedded model is a tiny network with random weights; its folder may be altered."""
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    entry = model_entry("tiny", "dereflection", folder, "embedded", default=True)
    (tmp_path / "catalog.toml").write_text(entry)
    return Catalog.load(tmp_path / "catalog.toml")


def test_a_model_that_is_not_there_is_an_error_and_an_altered_one_disables(catalog, tmp_path):
    host = Host(Registry.discover(catalog=catalog), catalog)
    photo = save(tmp_path / "photo.png", noise(8, 8))
    with pytest.raises(ModelError, match="There is no model 'bigger'.*tiny"):
        host.restore(photo, ["dereflection"], None, {"model": "bigger"}, out_dir=tmp_path)
    next((tmp_path / "model").rglob("*.safetensors")).write_bytes(b"altered")
    registry = Registry.discover(catalog=catalog)
    assert "dereflection" not in registry.enabled
    assert "tiny" in dict(registry.disabled)["dereflection"]


def test_inside_a_mask_the_hint_has_a_part(catalog, tmp_path):
    host = Host(Registry.discover(catalog=catalog), catalog)
    photo = save(tmp_path / "photo.png", noise(90, 130))
    white = np.zeros((90, 130, 3), np.uint8)
    white[20:60, 30:90] = 255
    mask = save(tmp_path / "mask.png", white)
    results = {}
    for hint in (True, False):
        params = {"dereflection": {"mask_hint": hint}}
        done = host.restore(photo, ["dereflection"], params, {"mask": mask}, out_dir=tmp_path / str(hint))
        results[hint] = pictures.read(done.path).samples
    inside = white[..., 0] > 0
    assert not np.array_equal(results[True][inside], results[False][inside])
