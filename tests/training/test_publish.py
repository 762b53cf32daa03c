"""A run becomes the model that ships, with a card made from its own files."""

import json
import shutil

import pytest
import yaml
from PIL import Image

from models.catalog import Catalog
from models.errors import ModelError
from models.integrity import SUMS, find_alteration, read_sums
from tests.training.conftest import DEBUG, QUICK
from tests.training.sheets import sheet_size
from training.evaluate import main as evaluate
from training.publish import main, publish
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


@pytest.fixture
def run(whole_run):
    return whole_run / "model"


def test_a_run_is_published_with_its_measurements(run, pair_folder, tmp_path):
    report = tmp_path / "report"
    evaluate(["--model", str(run), "--data", str(pair_folder), "--out", str(report), "--limit", "2"])
    measured = json.loads((report / "report.json").read_text())
    folder = publish(run, Catalog.load().get("dereflection-small"), [report], tmp_path / "checkpoints")
    assert find_alteration(folder, read_sums(folder / SUMS)) is None
    assert Image.open(folder / "evaluation" / "simulated.jpg").size == sheet_size(4, 8, 320)
    shown = json.loads((folder / "quality.json").read_text())[pair_folder.name]
    assert shown["PSNR"] == round(measured["scores"]["output"]["psnr"]["mean"], 2)
    _, front, page = (folder / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["license"] == "cc-by-nc-4.0"
    (result,) = card["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == round(measured["scores"]["output"]["psnr"]["mean"], 4)
    assert f"{measured['scores']['output']['psnr']['mean']:.2f}" in page and "`whole`: 8 steps" in page


@pytest.mark.slow
def test_what_training_started_from_is_kept_and_named(debug_overrides, tiny_pipeline, tmp_path):
    start = tmp_path / "start"
    shutil.copytree(tiny_pipeline, start)
    (start / "start.json").write_text(
        json.dumps({"from": "some-package", "licence": "apache-2.0", "sha256": "ab" * 32})
    )
    trainer = Trainer(load_config(DEBUG, [*debug_overrides, *QUICK, "steps=1", f"init_from={start}", "model={}"]))
    trainer.run()
    folder = publish(trainer.out / "model", Catalog.load().get("dereflection-small"), [], tmp_path / "checkpoints")
    assert "* Started from `some-package` (apache-2.0, sha256 abababababab)." in (folder / "README.md").read_text()


def test_publishing_again_replaces_and_a_bad_run_changes_nothing(run, tmp_path):
    entry, checkpoints = Catalog.load().get("dereflection-small"), tmp_path / "checkpoints"
    folder = publish(run, entry, [], checkpoints)
    before = sorted(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    config = run / "network" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(ModelError, match="not the one its run wrote"):
        publish(run, entry, [], checkpoints)
    with pytest.raises(ModelError, match="no finished run"):
        publish(tmp_path, entry, [], checkpoints)
    assert sorted(p.read_bytes() for p in folder.rglob("*") if p.is_file()) == before


def test_a_report_on_another_model_is_refused(run, pair_folder, tmp_path):
    report = tmp_path / "report"
    evaluate(["--model", str(run), "--data", str(pair_folder), "--out", str(report), "--limit", "2"])
    summary = json.loads((report / "report.json").read_text())
    (report / "report.json").write_text(json.dumps(summary | {"revision": "sha256:000000000000"}))
    with pytest.raises(ModelError, match="another model"):
        publish(run, Catalog.load().get("dereflection-small"), [report], tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def test_the_command_names_what_is_wrong(run, tmp_path, capsys):
    wrong = {"nothing": (run, "no model 'nothing'"), "dereflection-small": (tmp_path, "no finished run")}
    for model, (folder, said) in wrong.items():
        with pytest.raises(SystemExit) as stop:
            main(["--run", str(folder), "--id", model])
        assert stop.value.code == 2 and said in capsys.readouterr().err
