"""A run packed, and trained from the pack alone by its one command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from models.dereflection.pipeline import DereflectionPipeline
from tests import ROOT
from tests.training.conftest import DEBUG, QUICK
from training import pack
from training.core.export import code_version
from training.data.sources import Sources
from training.tasks.registry import load_config


@pytest.fixture
def settings(photo_folder, pair_folder, tiny_pipeline, tmp_path) -> list[str]:
    """A stage on photos, pairs and reflected photos below one folder."""
    data = tmp_path / "data"
    data.mkdir()
    for name, folder in (("photos", photo_folder), ("pairs", pair_folder), ("lights", photo_folder)):
        (data / name).symlink_to(folder)
    return [
        f"data.root={data}", "data.clean=[photos]", "data.pairs={pairs: 1.0}", "data.reflected=[lights]",
        f"init_from={tiny_pipeline}", "model={}", "name=packed", "steps=2", "workers=1", "export_every=1", *QUICK,
    ]  # fmt: skip


def make(settings: list[str], out: Path, mib: float = 5) -> None:
    more = [part for text in settings for part in ("--set", text)]
    pack.main(["--config", str(DEBUG), "--out", str(out), "--mib", str(mib), "--wheels", "--set", "seed=0", *more])


@pytest.mark.slow
def test_the_pack_alone_trains_with_its_one_command(settings, tiny_pipeline, tmp_path, capsys):
    folder, out = tmp_path / "moved" / "pack", tmp_path / "out"
    make(settings, tmp_path / "pack")
    assert "run.sh OUT" in capsys.readouterr().out
    folder.parent.mkdir()
    (tmp_path / "pack").rename(folder)
    (tmp_path / "data").rename(tmp_path / "gone")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = ["bash", str(folder / "run.sh"), str(out), "--cpu", "--set", "steps=3"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=240)
    record = json.loads((out / "packed" / "model" / "record.json").read_text())
    assert record["steps_done"] == 3 and record["starts"][0]["code"] == code_version()
    assert "root" not in record["config"]["data"] and "out" not in record["config"]
    assert record["config"]["data"]["packed_from"] == json.loads((folder / "pack.json").read_text())["packed_from"]
    first, last = (
        DereflectionPipeline.from_pretrained(model).network.state_dict()
        for model in (tiny_pipeline, out / "packed" / "model")
    )
    assert first.keys() == last.keys() and any(not torch.equal(first[name], last[name]) for name in first)


def test_a_packed_run_holds_out_what_the_run_held_out(settings, tmp_path):
    make([*settings, "data.hold_out=0.4"], tmp_path / "pack")
    tree = yaml.safe_load((tmp_path / "pack" / "run.yaml").read_text())
    before = load_config(DEBUG, [*settings, "data.hold_out=0.4"])
    tree["data"]["root"] = str(tmp_path / "pack" / "data")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(tree))
    after = load_config(tmp_path / "again.yaml")
    for validation in (True, False):
        sources = [Sources(config.data, 0, validation) for config in (before, after)]
        names = [[f.stem for f in source.photos.files] for source in sources]
        assert names[0] == names[1] and [len(p.pairs) for p in sources[0].pairs] == [
            len(p.pairs) for p in sources[1].pairs
        ]
    differs = {k for k, v in before.model_dump().items() if v != after.model_dump()[k]}
    assert differs <= {"data"}


@pytest.mark.slow
def test_of_what_is_held_out_a_few_come_along(settings, tmp_path, monkeypatch):
    """Training's photos all travel, of those held out no more than validation looks at."""
    held = [*settings, "data.hold_out=0.6"]
    kept = [len(Sources(load_config(DEBUG, held).data, 0, validation).photos) for validation in (False, True)]
    assert kept[1] > 2
    for most in (2, 64):
        monkeypatch.setattr(pack, "VALIDATION_PHOTOS", most)
        make(held, tmp_path / f"pack{most}")
        photos = list((tmp_path / f"pack{most}" / "data" / "photos").iterdir())
        assert len(photos) == kept[0] + min(most, kept[1])


def test_what_does_not_fit_is_said(settings, tmp_path, capsys, monkeypatch):
    def refused(settings: list[str], mib: float = 5) -> str:
        with pytest.raises(SystemExit) as stopped:
            make(settings, tmp_path / "pack", mib)
        assert stopped.value.code == 2 and not (tmp_path / "pack").exists()
        return capsys.readouterr().err

    assert "take fewer" in refused(settings, 0.1)
    assert "set init_from" in refused([*settings, "init_from=null"])
    assert "no folder" in refused([*settings, "data.clean=[nowhere]"])
    (tmp_path / "pack").mkdir()
    with pytest.raises(SystemExit):
        make(settings, tmp_path / "pack")
    assert "is there already" in capsys.readouterr().err


def test_the_wheels_are_of_what_is_installed_here(monkeypatch, tmp_path):
    import importlib.metadata

    asked = []

    def run(command, **_):
        asked.extend(command)
        return subprocess.CompletedProcess(command, 1, "", "first line\nno matching distribution")

    monkeypatch.setattr(pack.subprocess, "run", run)
    with pytest.raises(pack.PackError, match="no matching distribution"):
        pack.write_wheels(pack.WHEELS, tmp_path, "3.12")
    assert f"diffusers=={importlib.metadata.version('diffusers')}" in asked and "--no-deps" in asked


def test_the_quality_is_the_best_that_fits(photo_folder):
    files = sorted(photo_folder.iterdir())
    sizes = {q: sum(len(pack.encode(f, 96, q)) for f in files[:1]) * len(files) * 1.03 for q in pack.QUALITIES}
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    for quality in (85, 55, 25):
        assert pack.choose_quality(files, 96, int(sizes[quality]) + 1) == quality
