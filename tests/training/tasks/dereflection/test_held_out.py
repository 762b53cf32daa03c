"""What the pairs that training held out say of a model, and of a hint, from the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import DEBUG
from tests.training.sheets import sheet_size
from training.evaluate import main as evaluate
from training.tasks.dereflection.held_out import hint_for
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


@pytest.fixture
def run(debug_overrides, pair_folder):
    """A run that held out the pairs of one of two scenes."""
    pairs = [f"data.pairs={{{pair_folder}: 1.0}}", f"data.held_pairs={{{pair_folder}: [coffee]}}"]
    trainer = Trainer(load_config(DEBUG, [*debug_overrides, *pairs, "steps=1"]))
    trainer.run()
    return trainer.out / "model"


@pytest.mark.slow
def test_only_what_was_held_out_is_scored(run, pair_folder, tmp_path, capsys):
    out = tmp_path / "report"
    assert evaluate(["--model", str(run), "--data", str(pair_folder.parent), "--held-out", "--out", str(out)]) == 0
    summary = json.loads((out / "report.json").read_text())
    assert set(summary["sets"]) == {pair_folder.name, "all"} and summary["images"] == 4
    for row in summary["sets"].values():
        assert row["images"] == 4 and "mean" in row["hinted"]
    lines = (out / "images.csv").read_text().splitlines()
    assert len(lines) == 5 and all(",coffee" in line for line in lines[1:])
    assert f"| {pair_folder.name} | 4 |" in capsys.readouterr().out
    assert Image.open(out / "contact_sheet.png").size == sheet_size(5, 4, 96)


def test_what_cannot_be_scored_is_said(tiny_pipeline, pair_folder, tmp_path, capsys):
    assert evaluate(["--model", str(tiny_pipeline), "--data", str(pair_folder), "--held-out", "--out", str(tmp_path)])
    assert "no record.json" in capsys.readouterr().err


def test_the_hint_lies_over_what_was_added_whatever_the_exposure_of_the_target():
    scene = np.random.default_rng(0).integers(40, 120, (64, 64, 3))
    photo = scene.copy()
    photo[10:30, 10:30] += 100
    hint = hint_for(photo.astype(np.uint8), (scene * 1.1).round().astype(np.uint8))
    assert hint.shape == (64, 64) and hint[14:26, 14:26].min() > 0.9 and hint[45:, 45:].max() < 0.1
