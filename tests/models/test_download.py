"""Downloads, through huggingface_hub itself, from a small Hub on this machine's loopback."""

import hashlib
import json
import threading
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from safetensors.numpy import load_file, save

from models import download, hub, integrity
from models.catalog import Catalog
from models.errors import AlteredModelError, ModelError
from tests.models.fake_hub import FakeHub

COMMITS = {name: hashlib.sha1(name.encode()).hexdigest() for name in ("first", "second", "base", "mirror")}


def weights(value: float) -> bytes:
    return save({"weight": np.full(8, value, np.float32)})


@pytest.fixture
def fake(tmp_path, monkeypatch):
    server = FakeHub()
    server.repos["owner/model"] = (
        COMMITS["first"],
        {
            "unet/config.json": b"{}",
            "unet/model.safetensors": weights(1),
            "unet/model.bin": b"\x80\x04.",
            "unet/model.fp16.safetensors": weights(2),
            "README.md": b"card",
        },
    )
    server.repos["base/mirror"] = (
        COMMITS["mirror"],
        {"vae/config.json": b'{"vae": 1}', "vae/model.safetensors": weights(3)},
    )
    server.stand_in(monkeypatch, tmp_path)
    yield server
    server.close()


SIMPLE = 'repo = "owner/model"\nfiles = ["unet/config.json", "unet/model.safetensors"]'
PARTS = f"""parts = [
  {{ folder = "unet", repo = ["no/it", "owner/model"], subfolder = "unet", allow = ["*.json", "model.s*"] }},
  {{ folder = "vae_2", repo = ["base/original", "base/mirror@{COMMITS["mirror"]}"], subfolder = "vae" }},
  {{ folder = ".", path = "shipped/pipeline.json" }},
]"""


def make_catalog(folder: Path, text: str, **more: str) -> Catalog:
    (folder / "shipped").mkdir(exist_ok=True)
    (folder / "shipped" / "pipeline.json").write_text('{"network": "full"}')
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    (folder / "catalog.toml").write_text(
        f'[[model]]\nid = "full"\ntask = "fix"\nsource = "hub"\nlicence = "mit"\n{lines}{text}\n'
    )
    return Catalog.load(folder / "catalog.toml")


def where(catalog):
    return hub.list_models(catalog)[0]["where"]


def stored(tmp_path):
    return [path for path in (tmp_path / "limpid").rglob("*") if path.is_file() or path.name.startswith(".")]


def test_a_model_is_downloaded_once_recorded_and_then_cached(fake, tmp_path):
    catalog = make_catalog(tmp_path, SIMPLE)
    assert where(catalog) == "not downloaded" and fake.requests == []
    model = hub.resolve("full", catalog)
    assert model.revision == COMMITS["first"] and model.notes == ()
    assert load_file(model.folder / "unet" / "model.safetensors")["weight"][0] == 1
    assert {path.name for path in (model.folder / "unet").iterdir()} == {"config.json", "model.safetensors"}
    assert "unet/model.safetensors" in (model.folder / "SHA256SUMS").read_text()
    assert where(catalog) == "cached"
    assert not any("model.bin" in request for request in fake.requests)

    fake.requests.clear()
    fake.repos["owner/model"] = (COMMITS["second"], {"unet/config.json": b"{}"})
    assert hub.resolve("full", catalog) == model
    assert fake.requests == []


def test_parts_come_from_several_repositories_and_their_alternatives(fake, tmp_path):
    model = hub.resolve("full", make_catalog(tmp_path, PARTS))
    assert sorted(path.relative_to(model.folder).as_posix() for path in model.folder.rglob("*.*")) == [
        "limpid-model.json",
        "pipeline.json",
        "unet/config.json",
        "unet/model.safetensors",
        "vae_2/config.json",
        "vae_2/model.safetensors",
    ]
    assert load_file(model.folder / "vae_2" / "model.safetensors")["weight"][0] == 3
    assert model.revision == f"unet={COMMITS['first'][:12]},vae_2={COMMITS['mirror'][:12]}"
    assert len(model.notes) == 2
    assert "owner/model (no/it: there is no such repository" in model.notes[0]
    record = json.loads((model.folder / download.RECORD).read_text())
    assert record["parts"][1] == {"folder": "vae_2", "repo": "base/mirror", "revision": COMMITS["mirror"]}
    assert record["licence"] == "mit"


def test_a_pinned_revision_is_the_one_fetched_or_an_error(fake, tmp_path):
    pinned = make_catalog(tmp_path, SIMPLE, revision=f'"{COMMITS["first"]}"')
    assert hub.resolve("full", pinned).revision == COMMITS["first"]
    other = make_catalog(tmp_path, SIMPLE, revision=f'"{COMMITS["second"]}"')
    with pytest.raises(ModelError, match="could not be downloaded"):
        hub.resolve("full", other)
    assert where(other) == "not downloaded"


def test_a_changed_entry_is_fetched_anew(fake, tmp_path):
    catalog = make_catalog(tmp_path, PARTS)
    first = hub.resolve("full", catalog)
    (tmp_path / "shipped" / "pipeline.json").write_text('{"network": "other"}')
    second = hub.resolve("full", catalog)
    assert second.folder != first.folder
    assert "other" in (second.folder / "pipeline.json").read_text()
    (tmp_path / "shipped" / "pipeline.json").unlink()
    assert where(catalog) == "missing"


def test_the_catalogs_hashes_are_checked_before_anything_is_stored(fake, tmp_path):
    good = hashlib.sha256(weights(1)).hexdigest()
    catalog = make_catalog(tmp_path, SIMPLE, sha256=f'{{ "unet/model.safetensors" = "{good.upper()}" }}')
    assert hub.resolve("full", catalog).id == "full"
    catalog = make_catalog(tmp_path, SIMPLE, sha256=f'{{ "unet/model.safetensors" = "{"0" * 64}" }}')
    before = stored(tmp_path)
    with pytest.raises(ModelError, match="not what the catalog says.*was not stored"):
        hub.resolve("full", catalog)
    assert stored(tmp_path) == before


def test_a_cached_model_that_was_altered_is_refused_and_can_be_fetched_again(fake, tmp_path):
    catalog = make_catalog(tmp_path, SIMPLE)
    folder = hub.resolve("full", catalog).folder
    file = folder / "unet" / "model.safetensors"
    data = file.read_bytes()
    file.unlink()  # it shares its content with the download cache
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert where(catalog) == "altered"
    with pytest.raises(AlteredModelError, match="model.safetensors does not match.*Delete"):
        hub.resolve_for("fix", "full", catalog)
    download.shutil.rmtree(folder)
    assert hub.resolve("full", catalog).folder == folder and where(catalog) == "cached"


@pytest.mark.parametrize("name", [download.RECORD, "SHA256SUMS"])
def test_a_lost_record_counts_as_altered(fake, tmp_path, name):
    catalog = make_catalog(tmp_path, SIMPLE)
    (hub.resolve("full", catalog).folder / name).unlink()
    with pytest.raises(AlteredModelError, match=f"{name} is missing"):
        hub.resolve("full", catalog)


def test_touched_files_are_read_again_rather_than_called_altered(fake, tmp_path):
    catalog = make_catalog(tmp_path, SIMPLE)
    (hub.resolve("full", catalog).folder / "unet" / "model.safetensors").touch()
    assert where(catalog) == "cached"


def test_damage_on_the_way_is_noticed(fake, tmp_path):
    fake.damaged.add("unet/model.safetensors")
    with pytest.raises(ModelError, match="model.safetensors in the download cache is damaged"):
        hub.resolve("full", make_catalog(tmp_path, SIMPLE))
    assert stored(tmp_path) == []


def test_offline_a_cached_model_works_and_a_missing_one_is_explained(fake, tmp_path, monkeypatch):
    catalog = make_catalog(tmp_path, SIMPLE)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="not on this machine and HF_HUB_OFFLINE forbids downloads"):
        hub.resolve("full", catalog)
    assert fake.requests == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    model = hub.resolve("full", catalog)
    fake.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.resolve("full", catalog) == model
    # What another program put into the shared download cache serves too.
    download.shutil.rmtree(model.folder)
    assert hub.resolve("full", catalog).revision == COMMITS["first"]
    assert fake.requests == []


def test_offline_the_librarys_own_switch_counts(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        hub.resolve("full", make_catalog(tmp_path, SIMPLE))
    assert fake.requests == []


def test_a_default_that_cannot_be_had_gives_way_to_the_embedded_model(fake, tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "model.safetensors").write_bytes(weights(4))
    integrity.write_sums(tmp_path / "small")
    embedded = '[[model]]\nid = "small"\ntask = "fix"\nsource = "embedded"\nlicence = "mit"\npath = "small"'
    catalog = make_catalog(tmp_path, f"{SIMPLE}\n{embedded}", default="true")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = hub.resolve_for("fix", None, catalog)
    assert model.id == "small" and "HF_HUB_OFFLINE" in model.notes[0]
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        hub.resolve_for("fix", "full", catalog)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('repo = ["gone/one", "gone/two"]', "gone/one: there is no such repository.*gone/two"),
        ('repo = "owner/model"\nfiles = ["unet/other.safetensors"]', "has no unet/other.safetensors"),
        ('repo = "not a name"', "could not be downloaded"),
    ],
)
def test_what_cannot_be_had_is_explained_and_leaves_nothing(fake, tmp_path, text, message):
    with pytest.raises(ModelError, match=message) as caught:
        hub.resolve("full", make_catalog(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert stored(tmp_path) == []


def test_a_server_that_is_down_is_explained(fake, tmp_path):
    catalog = make_catalog(tmp_path, SIMPLE)
    fake.close()
    with pytest.raises(ModelError, match="could not be reached"):
        hub.resolve("full", catalog)


def test_an_interruption_leaves_no_half_made_folder(fake, tmp_path, monkeypatch):
    catalog = make_catalog(tmp_path, PARTS)
    placed = []

    def interrupted(source, target):
        if len(placed) == 2:
            raise KeyboardInterrupt
        placed.append(target)
        place(source, target)

    place = download.place
    monkeypatch.setattr(download, "place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hub.resolve("full", catalog)
    assert len(placed) == 2 and stored(tmp_path) == [] and where(catalog) == "not downloaded"
    monkeypatch.setattr(download, "place", place)
    assert hub.resolve("full", catalog).id == "full"


def test_the_loser_of_a_race_uses_the_winners_folder(fake, tmp_path):
    entry = make_catalog(tmp_path, SIMPLE).get("full")
    first, _ = download.fetch(entry)
    again, _ = download.fetch(entry)
    assert again == first and [path.name for path in first.parent.iterdir()] == [first.name]


def test_threads_wait_for_one_download(fake, tmp_path):
    catalog = make_catalog(tmp_path, SIMPLE)
    found = []
    threads = [threading.Thread(target=lambda: found.append(hub.resolve("full", catalog))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4 and len({model.folder for model in found}) == 1
    fetched = [r for r in fake.requests if r.startswith("GET") and r.endswith("/unet/model.safetensors")]
    assert len(fetched) == 1


def test_a_disk_that_is_too_full_is_said_before_the_download(fake, tmp_path):
    with pytest.raises(ModelError, match="needs 1000000000000 MB"):
        hub.resolve("full", make_catalog(tmp_path, SIMPLE, size_mb="1e12"))
    assert fake.requests == []


def test_where_links_are_impossible_files_are_copied(fake, tmp_path, monkeypatch):
    def no_links(*arguments):
        raise OSError("another disk")

    monkeypatch.setattr(download.os, "link", no_links)
    catalog = make_catalog(tmp_path, PARTS)
    model = hub.resolve("full", catalog)
    assert load_file(model.folder / "unet" / "model.safetensors")["weight"][0] == 1
    assert where(catalog) == "cached"
