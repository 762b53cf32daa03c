from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.catalog import Catalog
from plugins.contract import PluginError
from plugins.registry import Registry
from tests import ROOT
from tests.catalogs import model_entry

TOML = """
api = 1
id = "{id}"
kind = "restore"
entry = "plugin:Thing"
name = "Thing"
summary = "A thing."
"""
CODE = """
from pydantic import BaseModel, Field
from typing import Any
class Thing:
    class Params(BaseModel):
        amount: float = Field(0.5, ge=0, le=1)
    def load(self, model, ctx): ...
    def cost(self, size, params): ...
    def run(self, picture, params, ctx): ...
"""


@pytest.fixture(autouse=True)
def no_allow_list(monkeypatch):
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)


def make(folder: Path, id: str = "thing", toml: str = TOML, code: str = CODE) -> Path:
    folder.mkdir(parents=True)
    (folder / "plugin.toml").write_text(toml.replace("{id}", id))
    (folder / "plugin.py").write_text(code)
    return folder


def reason(registry: Registry, id: str) -> str:
    return dict(registry.disabled)[id]


def test_a_folder_is_a_plugin_and_a_folder_of_folders_too(tmp_path):
    make(tmp_path / "many" / "one", "one")
    make(tmp_path / "many" / "two", "two", TOML + "order = 1\n")
    registry = Registry.discover([make(tmp_path / "alone"), tmp_path / "many"])
    ours = [id for id, loaded in registry.enabled.items() if loaded.source == "folder"]
    assert ours == ["two", "one", "thing"]  # by order, then by id
    assert [spec.name for spec in registry.get("thing").fields] == ["amount"]


def test_modules_of_a_folder_may_import_one_another(tmp_path):
    folder = make(tmp_path / "thing", code="from .other import Thing\n")
    (folder / "other.py").write_text(CODE)
    assert "thing" in Registry.discover([folder]).enabled


def test_an_installed_package_is_found_and_a_broken_one_is_disabled(third_party):
    registry = Registry.discover()
    invert = registry.get("invert")
    assert invert.source == "limpid-invert 1.2.0" and invert.manifest.tiling.mode == "tiled"
    assert "No module named 'a_library_nobody_has'" in reason(registry, "broken")
    with pytest.raises(PluginError, match="'broken' is disabled: It cannot be imported: ModuleNotFoundError"):
        registry.get("broken")
    rows = {row["id"]: row for row in json.loads(json.dumps(registry.describe()))}
    assert rows["invert"]["enabled"] and rows["invert"]["name"] == "Invert"
    assert rows["invert"]["params"][1] == {
        "name": "channel", "kind": "choice", "default": "all", "choices": ["all", "red", "green", "blue"],
        "help": "Which colour to invert.", "label": "Channel",
    }  # fmt: skip
    assert not rows["broken"]["enabled"] and rows["broken"]["reason"] == reason(registry, "broken")


def test_the_allow_list_keeps_others_from_being_imported(third_party, monkeypatch):
    monkeypatch.setenv("LIMPID_PLUGINS", "invert, nowhere")
    registry = Registry.discover()
    assert list(registry.enabled) == ["invert"]
    assert reason(registry, "broken") == "It is not among those that LIMPID_PLUGINS allows."
    assert reason(registry, "nowhere") == "LIMPID_PLUGINS names it, but there is no such plugin."
    assert "limpid_broken" not in sys.modules


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"toml": "api = 1\nid = "}, "plugin.toml is not valid TOML"),
        ({"toml": TOML.replace("api = 1", "api = 2")}, "asks for contract api = 2, and this is 1"),
        ({"toml": TOML + "colour = 1\n"}, r"plugin.toml is not right \(colour: Extra inputs"),
        ({"toml": TOML.replace("restore", "improve")}, r"plugin.toml is not right \(kind"),
        ({"toml": TOML + "[tiling]\nsize = 32\nmultiple = 32\n"}, "size must be at least twice its multiple"),
        ({"toml": TOML.replace("{id}", "Big Name")}, r"plugin.toml is not right \(id"),
        ({"toml": TOML.replace("{id}", "health")}, "'health' is one of the app's own names"),
        ({"toml": TOML.replace("plugin:Thing", "plugin")}, "needs entry"),
        ({"toml": TOML.replace("plugin:Thing", "plugin:Other")}, "AttributeError"),
        ({"code": CODE + "raise RuntimeError('at import')"}, "RuntimeError: at import"),
        ({"code": CODE + "raise SystemExit(3)"}, "SystemExit: 3"),
        ({"code": "syntax error"}, "SyntaxError"),
        ({"code": CODE + "Thing = Thing()"}, "not a class"),
        ({"code": CODE.replace("def run", "def walk")}, "no method run"),
        ({"code": CODE.replace("class Params", "class Options")}, "has no Params"),
        ({"code": CODE.replace("amount: float", "amount: Any")}, "'amount' has the type"),
        ({"code": CODE.replace(" = Field(0.5, ge=0, le=1)", "")}, "'amount' needs a default"),
        ({"code": CODE.replace("Field(0.5,", "Field(1.5,")}, "amount must be at most 1"),
        ({"code": CODE.replace("Field(0.5,", "Field(0.5, alias='much',")}, "'amount' has an alias"),
        ({"code": CODE.replace("Field(0.5, ge=0, le=1)", "Field(default_factory=lambda: 1 / 0)")}, "ZeroDivisionError"),
        ({"code": CODE.replace("amount", "strength")}, "'strength' is one of the host's own"),
        ({"code": CODE.replace("float = Field(0.5, ge=0, le=1)", "str | None = None")}, "never empty"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said_and_the_others_work(tmp_path, change, said):
    make(tmp_path / "good", "good")
    make(tmp_path / "thing", **change)
    registry = Registry.discover([tmp_path])
    assert "good" in registry.enabled
    reasons = [why for id, why in registry.disabled if id in ("thing", "health")]
    assert len(reasons) == 1
    import re

    assert re.search(said, reasons[0]), reasons[0]


def test_a_duplicate_id_does_not_replace_the_first(tmp_path):
    make(tmp_path / "a", "thing", TOML.replace("A thing.", "First."))
    make(tmp_path / "b", "thing")
    registry = Registry.discover([tmp_path])
    assert registry.get("thing").manifest.summary == "First."
    assert "Another plugin has the id 'thing' already" in reason(registry, "thing")


def test_an_altered_embedded_model_disables_its_plugin(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"altered")
    (folder / "SHA256SUMS").write_text("0" * 64 + "  weights.safetensors\n")
    make(tmp_path / "plugins" / "thing", toml=TOML + 'task = "things"\n')
    (tmp_path / "catalog.toml").write_text(model_entry("m", "things", folder, "embedded", default=True))
    registry = Registry.discover([tmp_path / "plugins"], catalog=Catalog.load(tmp_path / "catalog.toml"))
    assert "thing" not in registry.enabled
    assert "weights.safetensors" in reason(registry, "thing")


def test_an_unknown_plugin_is_named_with_those_there_are(tmp_path):
    registry = Registry.discover([make(tmp_path / "thing")])
    with pytest.raises(PluginError, match=r"There is no plugin 'sharpen' \(there are: .*thing"):
        registry.get("sharpen")


@pytest.mark.slow
def test_listing_plugins_and_building_forms_loads_neither_torch_nor_gradio():
    code = (
        "import sys; from plugins.registry import Registry; from plugins.host.run import Host; "
        "registry = Registry.discover(); Host(registry); registry.describe(); "
        "from plugins.dereflection.plugin import Dereflection; from plugins.schema import fields; "
        "assert [one.name for one in fields(Dereflection.Params)] == ['keep_layer', 'processing', 'mask_hint']; "
        "print([name for name in ('torch', 'diffusers', 'gradio', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_an_entry_point_that_makes_no_sense_disables_that_one(tmp_path, monkeypatch):
    info = tmp_path / "limpid_odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: limpid-odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[limpid.plugins]\nodd = not a module!\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry.discover([make(tmp_path / "thing")])
    assert "thing" in registry.enabled and "plugin.toml" in reason(registry, "odd")
