"""Stages with semantic guidance through the training script, at tiny size, on one process and on two."""

import json

import numpy as np
import pytest
import torch

from models.semantics.vocabulary import vocabulary
from tests.training.conftest import DEBUG, QUICK
from training.core.checkpointing import list_checkpoints
from training.core.curves import read_curve
from training.evaluation.restorer import load_restorer
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer

FAST = ["optimizer.lr=1e-2", "optimizer.warmup=1", "optimizer.ema=0"]
STEP = {"debug.yaml": "unet", "debug-deblur.yaml": "transformer"}


@pytest.fixture(params=STEP, ids=["dereflection", "deblur"])
def stage(request) -> str:
    return request.param


@pytest.fixture
def overrides(named_photos, tmp_path) -> list[str]:
    data = [f"data.root={named_photos.parent}", f"data.clean=[{named_photos.name}]", f"out={tmp_path / 'runs'}"]
    return [*data, "steps=4", "validation_samples=8", "data.guidance.dropout=0.5", *FAST]


def without_guidance(overrides: list[str]) -> list[str]:
    return [text for text in overrides if "guidance" not in text]


@pytest.fixture
def start(stage, tiny_pipeline, tiny_deblur) -> list[str]:
    """From a checkpoint without tags, whose step does change the photo."""
    return [f"init_from={tiny_pipeline if stage == 'debug.yaml' else tiny_deblur}", "model={}"]


@pytest.mark.slow
def test_a_guided_stage_adds_the_table_and_trains_the_step_alone(stage, overrides, start):
    more = ["name=guided", *start, f"train=[guide, null_token, {STEP[stage]}]", "steps=2", "validation_samples=4"]
    more += ["data.guidance.dropout=0.25", "validate_every=2", "checkpoint_every=100"]
    trainer = Trainer(load_config(DEBUG.with_name(stage), [*overrides, *more]))
    before = {n: p.clone() for n, p in trainer.network.named_parameters()}
    assert not before["guide.table"].any()
    assert trainer.run()
    changed = {n.split(".")[0] for n, p in trainer.network.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"guide", "null_token", STEP[stage]}
    rows = read_curve(trainer.out / "validation.csv")
    assert rows[0]["true_tags"] == pytest.approx(0, abs=1e-4) == rows[0]["wrong_tags"]  # at first tags change nothing
    assert {"true_tags", "wrong_tags"} <= set(rows[-1])
    learnt = trainer.network.guide.table.detach()
    # The tags of the photos, of which some were dropped out; of the others the mean alone moves.
    assert not any(torch.equal(row, learnt[-1]) for row in learnt[:1]) and (learnt[3:] == learnt[-1]).all()
    pipeline = load_restorer(str(trainer.out / "model")).pipeline
    assert pipeline.network.guide.names == vocabulary().tags
    photo = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    told = pipeline(photo, tags={vocabulary().tags[0]: 1.0})
    assert not np.array_equal(told.image, pipeline(photo).image) and not told.notes
    # A later stage may leave guidance out; the table stays as it is.
    later = [*without_guidance(overrides), "name=later", f"init_from={trainer.out / 'model'}", "model={}"]
    after = Trainer(load_config(DEBUG.with_name(stage), later))
    assert after.network.guide.table.any() and not after.network.guide.table.requires_grad


def test_every_trained_parameter_has_a_gradient_where_no_sample_has_a_tag(stage, overrides, start):
    """DDP would wait for one that has none."""
    settings = [*overrides, *start, "data.guidance.dropout=1.0", "validation_samples=0"]
    trainer = Trainer(load_config(DEBUG.with_name(stage), settings))
    batch = trainer.data.batch(range(2), 64)
    assert not batch["tags"].any()
    trainer.objective(batch, [0, 1])[0].sum().backward()
    assert [n for n, p in trainer.network.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.slow
def test_resume_is_exact(overrides, monkeypatch):
    config = load_config(DEBUG, [*overrides, *QUICK, "name=once", "steps=3"])
    once = Trainer(config)
    assert once.run()
    config = config.model_copy(update={"name": "twice"})
    stopped = Trainer(config)
    monkeypatch.setattr(stopped, "must_stop", lambda: len(read_curve(stopped.out / "loss.csv")) == 2)
    assert not stopped.run() and [step for step, _ in list_checkpoints(stopped.out)][-1] == 2
    again = Trainer(config)
    assert again.run()
    for (name, a), b in zip(once.network.named_parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert once.network.guide.table.any()


def test_two_processes_give_the_curve_of_one(two_processes, tmp_path):
    one, two = two_processes.alone("guided", tmp_path), two_processes.folder / "guided"
    assert json.loads((two / "starts.json").read_text())[0]["processes"] == 2
    alone, both = ([r["loss"] for r in read_curve(run / "loss.csv")] for run in (one, two))
    assert len(alone) == 3 and alone == pytest.approx(both, rel=1e-4)


def test_bad_settings_are_named(overrides, debug_overrides):
    start = [*overrides, "name=other"]
    with pytest.raises(ValueError, match="data.guidance acts in the diffusion step"):
        load_config(DEBUG.with_name("debug-deblur.yaml"), [*start, "parts={prerestored: 1.0}"])
    with pytest.raises(ValueError, match="The network has the tags dog, cat: data.guidance"):
        Trainer(load_config(DEBUG, [*start, "model.tags=[dog, cat]"]))
    with pytest.raises(ValueError, match="needs photos whose names begin"):
        Trainer(load_config(DEBUG, [*debug_overrides, "data.guidance.dropout=0.5"]))


@pytest.mark.parametrize("name", ["dereflection-small-4-guided", "deblur-small-4-guided"])
def test_the_shipped_stages_fit_the_checkpoints_they_start_from(name, named_photos, tmp_path):
    data = [f"data.root={named_photos.parent}", f"data.clean=[{named_photos.name}]", f"out={tmp_path}"]
    more = ["data.pairs={}", "data.unsplit=[]", "data.store_side=64", "validation_samples=0", "precision='no'"]
    more += ["data.blur.families={}", "data.blur.kernels=null"] if name.startswith("deblur") else []
    config = load_config(DEBUG.with_name(f"{name}.yaml"), [*data, *more])
    assert config.data.guidance.dropout == 0.0  # nothing else learns
    trainer = Trainer(config)
    named = dict(trainer.network.named_parameters())
    trained = {n.split(".")[0] for n, p in named.items() if p.requires_grad}
    assert trained == {"guide", "modulation"}
