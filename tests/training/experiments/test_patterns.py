import json

import pytest
import torch
import yaml

from models.deblur.pipeline import DeblurPipeline
from tests.components import make_tiny_deblur
from tests.training.conftest import DEBUG, QUICK
from training.experiments.patterns import gains, main, markdown
from training.experiments.variants import Plan
from training.tasks.deblur.config import DeblurRun
from training.tasks.registry import load_config

STAGE = str(DEBUG.with_name("debug-deblur.yaml"))


@pytest.fixture
def plan(debug_overrides, tmp_path):
    tree = {
        "stages": {1: STAGE},
        "steps": {1: 1},
        "set": [t for t in debug_overrides if not t.startswith("out=")] + QUICK,
        "variants": {"one": {"set": ["data.blur.families={others: 0, linear: 1}"]}, "every family": {}},
        "test": ["linear", "disc"],
    }
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return file


@pytest.mark.slow
def test_each_variant_trains_on_its_families_and_is_scored_on_all(plan, tmp_path, capsys):
    arguments = ["--config", str(plan), "--out", str(tmp_path / "out"), "--samples", "2", "--side", "64"]
    main(arguments)
    table = json.loads((tmp_path / "out" / "patterns.json").read_text())
    assert list(table) == ["one", "every family"] and all(list(row) == ["linear", "disc"] for row in table.values())
    record = json.loads((tmp_path / "out" / "runs" / "one-1" / "model" / "record.json").read_text())
    assert record["config"]["data"]["blur"]["families"] == {"others": 0, "linear": 1}
    shown = capsys.readouterr().out
    assert "| one |" in shown and shown.endswith((tmp_path / "out" / "patterns.md").read_text() + "\n")
    main([*arguments, "--variants", "one"])  # nothing is trained again, and the other row stays
    assert json.loads((tmp_path / "out" / "patterns.json").read_text()) == table


def test_a_gain_is_what_the_pipeline_adds_on_held_out_blur(plan):
    pipeline = DeblurPipeline(make_tiny_deblur().eval())
    given = yaml.safe_load(plan.read_text())["set"]
    config = load_config(DEBUG.with_name("debug-deblur.yaml"), given, DeblurRun)
    assert gains(pipeline, config, ["linear"], 2, 64) == {"linear": 0.0}  # it starts as the photo
    with torch.no_grad():
        pipeline.network.prior.head.bias += 0.015  # little enough for the guard
    assert gains(pipeline, config, ["linear"], 2, 64)["linear"] < -0.05


def test_the_shipped_plan_holds_families_out_and_has_equal_runs(tmp_path):
    file = DEBUG.parent / "patterns" / "families.yaml"
    plan = Plan(**yaml.safe_load(file.read_text()))
    for name in plan.variants:
        first, second = plan.runs(file.parent, name, [], tmp_path)
        assert (first.steps, second.steps) == tuple(plan.steps.values()) and not first.data.blur.weights["kernels"]
        assert second.init_from == str(tmp_path / first.name / "model")
        weights = first.data.blur.weights
        assert weights == second.data.blur.weights
        shown = {"linear"} if name == "linear motion alone" else set(weights) - {"kernels", name.partition(" but ")[2]}
        assert {family for family, weight in weights.items() if weight} == shown


def test_an_unknown_variant_is_named(plan, capsys):
    with pytest.raises(SystemExit):
        main(["--config", str(plan), "--variants", "two"])
    assert "two" in capsys.readouterr().err
    assert "+1.00 | +2.00 | +1.50" in markdown({"one": {"a": 1.0, "b": 2.0}}, ["a", "b"])
