"""The ablation from its command line, at the size of the debug configuration."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.training.conftest import DEBUG
from training.experiments import ablation, variants
from training.tasks.dereflection import invariance
from training.tasks.registry import load_config


@pytest.fixture
def plan(tmp_path: Path, split_photos: Path, pair_folder: Path) -> Path:
    """Two variants of two stages."""
    file = tmp_path / "plan.yaml"
    # Held out are the names that the split holds out; the made pairs are few, so all of them are.
    local = tmp_path / "local.yaml"
    local.write_text(f"base: {DEBUG}\nobjective: local\ndata: {{crop: 32, whole: 32}}\n")
    config = {
        "stages": {1: str(DEBUG), 2: local.name},
        "set": [
            f"data.root={split_photos.parent}",
            f"data.clean=[{split_photos.name}]",
            f"data.pairs={{{pair_folder}: 1.0}}",
            "data.hold_out=0.99",
            "batch=2",
            "validation_samples=0",
            "validate_every=100",
        ],
        "variants": {
            "whole recipe": {"steps": {1: 1, 2: 1}},
            "second alone, without pairs": {"steps": {2: 2}, "set": ["data.pair_share=0.0"]},
        },
    }
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


@pytest.mark.slow
def test_every_variant_is_trained_scored_and_listed(plan, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    monkeypatch.setattr(invariance, "SIDE_PX", 96)
    command = ["--config", str(plan), "--out", str(out), "--scenes", "1", "--photos", "2"]
    ablation.main(command)
    table = json.loads((out / "ablation.json").read_text())
    assert list(table) == ["whole recipe", "second alone, without pairs"]
    for row in table.values():
        assert set(row["figures"]) == set(ablation.COLUMNS)
        assert sum(row["steps"].values()) == 2
    last = json.loads((out / "runs" / "whole-recipe-2" / "model" / "record.json").read_text())
    assert last["lineage"]["init_from"].endswith("whole-recipe-1/model") and last["config"]["objective"] == "local"
    alone = json.loads((out / "runs" / "second-alone-without-pairs-2" / "model" / "record.json").read_text())
    assert alone["lineage"] is None and alone["config"]["data"]["pair_share"] == 0
    assert (out / "ablation.md").read_text() in capsys.readouterr().out

    monkeypatch.setattr(variants, "Trainer", lambda config: pytest.fail("what is finished was trained again"))
    ablation.main([*command, "--variants", "second alone, without pairs"])
    assert json.loads((out / "ablation.json").read_text()) == table  # the others' rows stay
    with pytest.raises(ValueError, match="other settings"):
        ablation.main([*command, "--set", "seed=5"])


def test_an_unknown_variant_is_refused_by_name(plan, tmp_path, capsys):
    for wrong, said in ((["--variants", "no such"], "no such"), (["--photos", "0"], "at least 1")):
        with pytest.raises(SystemExit):
            ablation.main(["--config", str(plan), *wrong, "--out", str(tmp_path / "out")])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted((ROOT / "training" / "configs" / "ablation").glob("*.yaml")))
def test_shipped_plans_are_valid_and_their_runs_equal(file):
    plan = variants.Plan(**yaml.safe_load(file.read_text()))
    assert len({sum(v.steps.values()) for v in plan.variants.values()}) == 1
    for name in plan.variants:
        configs = plan.runs(file.parent, name, [], Path("out"))
        assert configs[0].init_from == plan.start and all(c.init_from for c in configs[1:])


def test_variants_start_from_the_model_the_plan_names(plan, whole_run_model, tmp_path):
    text = yaml.safe_load(plan.read_text()) | {"start": str(whole_run_model)}
    configs = variants.Plan(**text).runs(plan.parent, "whole recipe", ["model={}"], tmp_path)
    assert configs[0].init_from == str(whole_run_model)
    assert configs[1].init_from == str(tmp_path / "whole-recipe-1" / "model")


@pytest.fixture
def whole_run_model(tiny_pipeline) -> Path:
    return tiny_pipeline


def test_shipped_stages_go_on_from_each_other():
    folder = ROOT / "training" / "configs"
    shipped = [load_config(f) for f in sorted(folder.glob("dereflection-small-[1-3]-*.yaml"))]
    assert [c.objective for c in shipped] == ["whole", "local"]
    for before, after in pairwise(shipped):
        assert after.init_from == f"runs/{before.name}/model"
