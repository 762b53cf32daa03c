"""The stages of deblurring through the training script, at tiny size."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.deblur.pipeline import DeblurPipeline
from models.integrity import SUMS, find_alteration, read_sums
from tests.training.conftest import DEBLUR, DEBUG
from training.core.checkpointing import list_checkpoints
from training.core.curves import read_curve
from training.evaluate import main as evaluate
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer

pytestmark = pytest.mark.slow
PATTERNS = ["parts={prerestored: 1.0, motion: 0.1}", "train=[motion, wiener, prior]"]


@pytest.fixture
def patterns(debug_overrides) -> Path:
    """A stage of pattern pretraining: no diffusion step, no autoencoder."""
    trainer = Trainer(load_config(DEBLUR, [*debug_overrides, *PATTERNS, "name=patterns", "steps=2"]))
    assert trainer.run()
    return trainer.out


def test_both_stages_train_what_they_name_and_the_result_restores(patterns, pair_folder, debug_overrides, tmp_path):
    pairs = [f"data.pairs={{{os.path.relpath(pair_folder, debug_overrides[0].split('=')[1])}: 1.0}}"]
    overrides = [*debug_overrides, *pairs, "data.pair_share=0.5", "steps=2", f"init_from={patterns / 'model'}"]
    trainer = Trainer(load_config(DEBLUR, [*overrides, "name=joint"]))
    assert trainer.run()
    first, second = (load_file(list_checkpoints(run)[-1][1] / "model.safetensors") for run in (patterns, trainer.out))
    new = {k.split(".")[0] for k in load_file(next((patterns / "model").rglob("*.safetensors")))}
    assert {"autoencoder", "transformer", "prior", "motion"} <= new
    moved = {k.removeprefix("network.").split(".")[0] for k in first if not torch.equal(first[k], second[k])}
    assert {"autoencoder", "transformer", "details", "prior", "motion", "wiener"} <= moved
    rows = read_curve(trainer.out / "validation.csv")
    names = {"simulated_prerestored", "simulated", "motion", "real_prerestored", "real", "sharp"}
    assert names <= set(rows[-1]) and all(math.isfinite(v) for v in rows[-1].values())
    assert read_curve(patterns / "validation.csv")[0]["simulated_prerestored"] == pytest.approx(
        0, abs=1e-6
    )  # it starts as the photo
    record = json.loads((trainer.out / "model" / "record.json").read_text())
    assert record["config"]["task"] == "deblur" and record["lineage"]["init_from"] == str(patterns / "model")
    assert find_alteration(trainer.out / "model", read_sums(trainer.out / "model" / SUMS)) is None
    photo = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    assert DeblurPipeline.from_pretrained(trainer.out / "model")(photo).image.shape == photo.shape
    report = tmp_path / "report"
    assert not evaluate(["--model", str(trainer.out / "model"), "--data", str(pair_folder), "--out", str(report)])
    assert json.loads((report / "report.json").read_text())["model"] == "model"


@pytest.mark.parametrize("name", ["joint", "patterns"])
def test_two_processes_train_it_as_one_does(name, two_processes, tmp_path):
    """DDP would wait for ever for the gradient of a parameter without a part in the loss."""
    one, two = two_processes.alone(name, tmp_path), two_processes.folder / name
    assert json.loads((two / "starts.json").read_text())[0]["processes"] == 2
    for a, b in zip(read_curve(one / "loss.csv"), read_curve(two / "loss.csv"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)


def test_a_stage_starts_from_a_model_of_its_own_kind(patterns, debug_overrides):
    with pytest.raises(ValueError, match="holds a Deblur: this stage trains a SmallDereflection"):
        Trainer(load_config(DEBUG, [*debug_overrides, f"init_from={patterns / 'model'}", "model={}"]))
