"""The hub without a network: catalogs, embedded and local models, and what happens when one was altered."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models import hub, integrity
from models.catalog import BUILT_IN, Catalog
from models.errors import AlteredModelError, ModelError


def make_model(folder: Path, value: float = 0.0, sums: bool = True) -> Path:
    (folder / "network").mkdir(parents=True)
    save_file({"weight": np.full(4, value, np.float32)}, folder / "network" / "model.safetensors")
    (folder / "network" / "config.json").write_text("{}")
    (folder / "pipeline.json").write_text("{}")
    (folder / "README.md").write_text("a card")
    if sums:
        integrity.write_sums(folder)
    return folder


def write_catalog(file: Path, *models: str) -> Path:
    file.write_text("\n".join(f'[[model]]\nlicence = "mit"\n{text}\n' for text in models))
    return file


EMBEDDED = 'id = "small"\ntask = "fix"\nsource = "embedded"\npath = "small"'
BETTER = 'id = "better"\ntask = "fix"\nsource = "local"\npath = "better"\ndefault = true'
OTHER = 'id = "other"\ntask = "sort"\nsource = "embedded"\npath = "other"'


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    monkeypatch.delenv("LIMPID_CATALOG", raising=False)
    for index, name in enumerate(("small", "better", "other")):
        make_model(tmp_path / name, index)
    return Catalog.load(write_catalog(tmp_path / "catalog.toml", EMBEDDED, BETTER, OTHER))


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def where(catalog, model_id):
    return next(row["where"] for row in hub.list_models(catalog) if row["id"] == model_id)


def test_an_embedded_model_resolves_to_its_folder(catalog, tmp_path):
    model = hub.resolve("small", catalog)
    assert (model.id, model.folder, model.notes) == ("small", tmp_path / "small", ())
    assert model.entry.licence == "mit"
    assert model.revision.startswith("sha256:") and model.revision == hub.resolve("small", catalog).revision
    assert model.revision != hub.resolve("better", catalog).revision


def test_an_unknown_model_is_an_error_that_names_the_known_ones(catalog):
    with pytest.raises(ModelError, match="no model 'smal'.*small, better, other"):
        hub.resolve("smal", catalog)
    with pytest.raises(ModelError, match="no model 'other' for fix.*: small, better"):
        hub.resolve_for("fix", "other", catalog)
    with pytest.raises(ModelError, match="No model for colour"):
        hub.resolve_for("colour", None, catalog)


def test_the_default_is_used_unless_another_is_asked_for(catalog):
    assert hub.resolve_for("fix", None, catalog).id == "better"
    assert hub.resolve_for("fix", "", catalog).id == "better"
    assert hub.resolve_for("fix", "small", catalog).id == "small"
    assert hub.resolve_for("sort", None, catalog).id == "other"


def test_an_altered_model_that_was_asked_for_is_an_error(catalog, tmp_path):
    flip_a_bit(tmp_path / "better" / "network" / "model.safetensors")
    with pytest.raises(AlteredModelError, match="'better' was altered.*model.safetensors"):
        hub.resolve_for("fix", "better", catalog)
    assert where(catalog, "better") == "altered" and where(catalog, "small") == "embedded"


def test_an_altered_default_gives_way_to_the_embedded_model_with_a_note(catalog, tmp_path):
    flip_a_bit(tmp_path / "better" / "network" / "model.safetensors")
    model = hub.resolve_for("fix", None, catalog)
    assert model.id == "small"
    assert "'small' was used" in model.notes[0] and "'better' was altered" in model.notes[0]


def test_an_altered_embedded_model_is_an_error_even_as_the_default(catalog, tmp_path):
    flip_a_bit(tmp_path / "other" / "network" / "model.safetensors")
    with pytest.raises(AlteredModelError, match="'other' was altered"):
        hub.resolve_for("sort", None, catalog)


def test_when_default_and_embedded_are_both_altered_there_is_no_model(catalog, tmp_path):
    for name in ("small", "better"):
        flip_a_bit(tmp_path / name / "network" / "model.safetensors")
    with pytest.raises(AlteredModelError, match="'small' was altered"):
        hub.resolve_for("fix", None, catalog)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "network/config.json").write_text('{"w": 2}'), "config.json does not match"),
        (lambda folder: (folder / "pipeline.json").unlink(), "pipeline.json is missing"),
        (
            lambda folder: shutil.copy(folder / "network" / "model.safetensors", folder / "extra.safetensors"),
            "extra.safetensors is not on record",
        ),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "no SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_text("nonsense\n"), "line that is no"),
        (lambda folder: (folder / "SHA256SUMS").write_text("0" * 64 + "  ../small/x.json\n"), "line that is no"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "cannot be checked"),
    ],
)
def test_every_kind_of_alteration_is_found(catalog, tmp_path, change, message):
    change(tmp_path / "small")
    with pytest.raises(ModelError, match=message):
        hub.resolve("small", catalog)
    assert where(catalog, "small") == "altered"


def test_a_changed_card_is_no_alteration(catalog, tmp_path):
    (tmp_path / "small" / "README.md").write_text("a better card")
    assert hub.resolve("small", catalog).id == "small"


@pytest.mark.parametrize("name", ["model.bin", "model.PT", "old.ckpt", "network/state.pkl", "x.pth"])
def test_files_that_can_run_code_are_refused(catalog, tmp_path, name):
    (tmp_path / "small" / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="safetensors only"):
        hub.resolve("small", catalog)


def test_a_pickle_named_safetensors_is_refused(catalog, tmp_path):
    (tmp_path / "small" / "network" / "model.safetensors").write_bytes(b"\x80\x04" + b"." * 50)
    integrity.write_sums(tmp_path / "small")
    with pytest.raises(ModelError, match="not a safetensors file"):
        hub.resolve("small", catalog)


def test_a_clone_without_git_lfs_is_explained(catalog, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (tmp_path / "small" / "network" / "model.safetensors").write_bytes(pointer)
    with pytest.raises(ModelError, match="git lfs pull"):
        hub.resolve("small", catalog)


def test_hashes_are_computed_once(catalog, tmp_path, monkeypatch):
    hub.resolve("small", catalog)
    read = []
    original = integrity.hashlib.file_digest
    monkeypatch.setattr(integrity.hashlib, "file_digest", lambda *a: read.append(a[0].name) or original(*a))
    hub.resolve("small", catalog)
    assert read == []
    flip_a_bit(tmp_path / "small" / "network" / "model.safetensors")
    with pytest.raises(AlteredModelError):
        hub.resolve("small", catalog)
    assert len(read) == 1


def test_sums_can_be_checked_by_other_programs(tmp_path):
    folder = make_model(tmp_path / "model")
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == [
        "network/config.json",
        "network/model.safetensors",
        "pipeline.json",
    ]
    assert integrity.find_alteration(folder, integrity.read_sums(folder / "SHA256SUMS")) is None


def test_hashes_in_the_catalog_win_over_those_beside_the_model(catalog, tmp_path):
    pinned = EMBEDDED + '\nsha256 = { "network/model.safetensors" = "' + "0" * 64 + '" }'
    with pytest.raises(AlteredModelError, match="model.safetensors does not match"):
        hub.resolve("small", Catalog.load(write_catalog(tmp_path / "pinned.toml", pinned)))


def test_a_users_catalog_adds_a_retrained_model(catalog, tmp_path, monkeypatch):
    own = tmp_path / "elsewhere"
    make_model(own / "runs" / "mine", 5, sums=False)
    text = 'id = "mine"\ntask = "fix"\nsource = "local"\npath = "runs/mine"'
    monkeypatch.setenv("LIMPID_CATALOG", str(write_catalog(own / "catalog.toml", text)))
    merged = Catalog.load(tmp_path / "catalog.toml")
    assert [entry.id for entry in merged.entries("fix")] == ["small", "better", "mine"]
    model = hub.resolve_for("fix", "mine", merged)
    assert model.folder == own / "runs" / "mine"
    assert "not checked" in model.notes[0] and model.revision.startswith("sha256:")
    assert where(merged, "mine") == "local"
    before = model.revision
    save_file({"weight": np.ones(4, np.float32)}, model.folder / "network" / "model.safetensors")
    assert hub.resolve("mine", merged).revision != before
    assert "mine" in {entry.id for entry in Catalog.load().entries()}  # beside the built-in one too


def test_a_users_default_wins(catalog, tmp_path, monkeypatch):
    make_model(tmp_path / "mine", 5)
    text = 'id = "mine"\ntask = "fix"\nsource = "local"\npath = "mine"\ndefault = true'
    monkeypatch.setenv("LIMPID_CATALOG", str(write_catalog(tmp_path / "own.toml", text)))
    assert hub.resolve_for("fix", None, Catalog.load(tmp_path / "catalog.toml")).id == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id = ", "not valid TOML"),
        ('[[models]]\nid = "x"', r"\[\[model\]\] tables only"),
        ('[[model]]\nid = "x"\ntask = "t"\nsource = "local"\npath = "x"', "mistake in model x: licence"),
        ('[[model]]\nid = "x"\ntask = "t"\nsource = "web"\nlicence = "mit"', "model x: source"),
        ('[[model]]\nid = "X Y"\ntask = "t"\nsource = "local"\npath = "x"\nlicence = "mit"', "is no id"),
        ('[[model]]\nid = "x"\ntask = "t"\nsource = "local"\nlicence = "mit"', "needs path"),
        ('[[model]]\nid = "x"\ntask = "t"\nsource = "hub"\nlicence = "mit"', "either repo or parts"),
        (
            '[[model]]\nid = "x"\ntask = "t"\nsource = "hub"\nrepo = "a/b"\nfiles = ["*.bin"]\nlicence = "mit"',
            "safetensors only",
        ),
        (
            '[[model]]\nid = "x"\ntask = "t"\nsource = "hub"\nlicence = "mit"\n'
            'parts = [{ folder = "../x", repo = "a/b" }]',
            "leaves the model's folder",
        ),
        (
            '[[model]]\nid = "x"\ntask = "t"\nsource = "hub"\nlicence = "mit"\nparts = [{ folder = "x" }]',
            "either repo or path",
        ),
        ('[[model]]\nid = "x"\ntask = "t"\nsource = "local"\npath = "x"\nlicence = "mit"\ncolour = 1', "colour"),
        ('[[model]]\nid = "x"\ntask = "t"\nsource = "embedded"\npath = "x"\nlicence = "mit"', 'source = "local"'),
        ('[[model]]\nid = "small"\ntask = "t"\nsource = "local"\npath = "x"\nlicence = "mit"', "Two models"),
    ],
)
def test_mistakes_in_a_users_catalog_are_named(catalog, tmp_path, monkeypatch, text, message):
    (tmp_path / "own.toml").write_text(text)
    monkeypatch.setenv("LIMPID_CATALOG", str(tmp_path / "own.toml"))
    with pytest.raises(ModelError, match=message) as caught:
        Catalog.load(tmp_path / "catalog.toml")
    assert "\n" not in str(caught.value)


def test_a_catalog_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMPID_CATALOG", str(tmp_path / "none.toml"))
    with pytest.raises(ModelError, match="none.toml cannot be read"):
        Catalog.load()


def test_the_description_is_json_and_complete(catalog, tmp_path):
    shutil.rmtree(tmp_path / "other")
    rows = {row["id"]: row for row in json.loads(json.dumps(hub.list_models(catalog)))}
    assert rows["small"]["where"] == "embedded" and rows["better"]["where"] == "local"
    assert rows["other"]["where"] == "missing"
    assert set(rows["small"]) >= {"id", "name", "task", "tier", "licence", "size_mb", "quality", "where"}
    with pytest.raises(ModelError, match="'other' should be in"):
        hub.resolve("other", catalog)


def test_the_built_in_catalog_is_valid_and_its_embedded_models_are_whole(monkeypatch):
    monkeypatch.delenv("LIMPID_CATALOG", raising=False)
    catalog = Catalog.load()
    small = catalog.get("dereflection-small")
    assert small.default and small.source == "embedded" and small.licence == "cc-by-nc-4.0"
    for entry in catalog.entries():
        if entry.source == "embedded":
            assert entry.folder.is_relative_to(BUILT_IN.parent / "checkpoints")
            assert hub.resolve(entry.id, catalog).folder == entry.folder
