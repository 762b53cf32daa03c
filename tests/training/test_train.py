"""The training script itself: launched, killed, resumed, warm-started, on two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from models.dereflection.pipeline import DereflectionPipeline
from models.errors import LimpidError
from models.integrity import SUMS, find_alteration, read_sums
from tests import ROOT
from tests.clock import Clock
from tests.training.conftest import DEBUG, QUICK
from training import train
from training.core.checkpointing import list_checkpoints
from training.core.curves import read_curve
from training.core.optimization import learning_rate, share_of_batch
from training.tasks import trainer as trainer_module
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


def words(overrides: list[str]) -> list[str]:
    return ["--config", str(DEBUG), *(part for text in overrides for part in ("--set", text))]


@pytest.fixture
def restored_signals() -> Iterator[None]:
    """Give back the handlers of signals that the command line takes."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The float32 weights of the last checkpoint."""
    return load_file(list_checkpoints(run)[-1][1] / "model.safetensors")


def test_killed_and_resumed_equals_never_killed(finished_run, debug_overrides, tmp_path, one_thread, restored_signals):
    overrides = [*debug_overrides, "name=killed"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.Popen([sys.executable, "-m", "training.train", *words(overrides)], env=environment, cwd=ROOT)
    run = tmp_path / "runs" / "killed"
    deadline = time.monotonic() + 180
    while not (run / "loss.csv").exists() or len(read_curve(run / "loss.csv")) < 3:
        assert killed.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert not (run / "model").exists()
    step, _ = list_checkpoints(run)[-1]
    assert 0 < step < 8

    with pytest.raises(SystemExit) as ended:
        train.main(words(overrides))
    assert ended.value.code == 0
    expected, got = weights(finished_run), weights(run)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    files = [sorted((folder / "model" / "network").glob("*.safetensors")) for folder in (finished_run, run)]
    assert files[0] and [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]  # the EMA too
    starts = json.loads((run / "starts.json").read_text())
    assert [s["step"] for s in starts] == [0, step]
    assert [r["step"] for r in read_curve(run / "loss.csv")] == list(range(1, 9))


def test_a_run_of_other_settings_is_not_gone_on_with(debug_overrides, whole_run):
    def again(*more: str) -> Trainer:
        return Trainer(load_config(DEBUG, [*debug_overrides, "name=whole", *more]))

    before = {p: p.read_bytes() for p in whole_run.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=r"other settings \(optimizer, seed\).*another name"):
        again("optimizer.lr=1e-5", "seed=3").run()
    with pytest.raises(ValueError, match="the model it starts from"):
        again(f"init_from={whole_run / 'model'}", "model={}").run()
    (whole_run / "settings.json").rename(whole_run / "elsewhere.json")
    with pytest.raises(ValueError, match="without the settings.*remove that folder"):
        again().run()
    (whole_run / "elsewhere.json").rename(whole_run / "settings.json")
    assert {p: p.read_bytes() for p in whole_run.rglob("*") if p.is_file()} == before
    assert again("log_every=2", "micro_batch=1").resume() == 8  # what has no part in the weights may change


@pytest.mark.slow
def test_under_a_horizon_a_run_may_be_made_longer(debug_overrides):
    out = debug_overrides[-1].removeprefix("out=")

    def trainer(name: str, steps: int) -> Trainer:
        more = [f"name={name}", f"steps={steps}", "optimizer.horizon=8"]
        return Trainer(load_config(DEBUG, [*debug_overrides, *QUICK, *more]))

    assert trainer("longer", 1).run() and trainer("longer", 3).run() and trainer("once", 3).run()
    longer, once = (weights(Path(out) / name) for name in ("longer", "once"))
    assert longer.keys() == once.keys() and all(torch.equal(longer[name], once[name]) for name in once)


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_and_says_so(debug_overrides, tmp_path, restored_signals, capsys):
    overrides = [*debug_overrides, "steps=500", "checkpoint_every=500"]
    run = tmp_path / "runs" / "debug"

    def end_it() -> None:
        deadline = time.monotonic() + 120
        while not (run / "loss.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        if (run / "loss.csv").exists():  # so the command line listens
            os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=end_it, daemon=True).start()
    with pytest.raises(SystemExit) as ended:
        train.main(words(overrides))
    assert ended.value.code == 143 and "the same command goes on from there" in capsys.readouterr().out
    ((step, _),) = list_checkpoints(run)
    assert 0 < step < 500


def test_what_a_finished_run_leaves(whole_run):
    model = whole_run / "model"
    assert find_alteration(model, read_sums(model / SUMS)) is None
    pipeline = DereflectionPipeline.from_pretrained(model)
    assert pipeline.dtype == torch.float32
    record = json.loads((model / "record.json").read_text())
    assert record["config"]["steps"] == 8 and record["seed"] == 0 and record["lineage"] is None
    assert len(record["data_sha256"]) == 64 and record["starts"][0]["step"] == 0
    with Image.open(model / "curves.png") as curves:
        assert curves.format == "PNG" and len(np.unique(np.asarray(curves))) > 50  # drawn, not blank
    rows = read_curve(model / "validation.csv")
    assert [r["step"] for r in rows] == [0, 4, 8]
    assert rows[0]["sharp"] == 60  # untrained, the network is the identity
    assert rows[-1]["sharp"] != rows[0]["sharp"]
    assert len(list_checkpoints(whole_run)) == 2  # the oldest are dropped
    assert not list((whole_run / "checkpoints").glob("partial-*"))


@pytest.mark.slow
def test_a_run_asked_to_stop_saves_the_step_and_a_resume_continues_its_files(debug_overrides, monkeypatch):
    config = load_config(DEBUG, [*debug_overrides, "steps=6", "checkpoint_every=50"])
    first = Trainer(config)
    monkeypatch.setattr(first, "must_stop", lambda: len(read_curve(first.out / "loss.csv")) == 4)
    assert not first.run()
    assert [step for step, _ in list_checkpoints(first.out)] == [4]
    before = (first.out / "loss.csv").read_bytes()
    assert Trainer(config).run()
    assert (first.out / "loss.csv").read_bytes().startswith(before)
    assert [r["step"] for r in read_curve(first.out / "validation.csv")] == [0, 4, 6]
    starts = (first.out / "starts.json").read_bytes()
    assert Trainer(config).run()  # nothing is left to do
    assert (first.out / "starts.json").read_bytes() == starts


def test_a_warm_start_trains_only_what_it_names(whole_run, debug_overrides):
    overrides = [
        *debug_overrides, "name=local", f"init_from={whole_run / 'model'}", "objective=local", "train=[local]",
        "data.crop=32", "data.whole=64", "steps=2", "validate_every=2",
    ]  # fmt: skip
    trainer = Trainer(load_config(DEBUG, overrides))
    before = {n: p.clone() for n, p in trainer.network.named_parameters()}
    assert trainer.run()
    changed = {n for n, p in trainer.network.named_parameters() if not torch.equal(p, before[n])}
    assert changed and all(n.startswith("local.") for n in changed)
    record = json.loads((trainer.out / "model" / "record.json").read_text())
    assert record["lineage"]["init_from"] == str(whole_run / "model")
    ancestor = trainer.out / "model" / "lineage" / "whole"
    assert json.loads((ancestor / "record.json").read_text())["config"]["name"] == "whole"
    assert (ancestor / "loss.csv").exists()
    assert DereflectionPipeline.from_pretrained(trainer.out / "model").network.config.working_size == 64


def test_a_warm_start_may_change_how_the_network_is_used_and_nothing_else(whole_run, debug_overrides):
    start = [*debug_overrides, "name=used", f"init_from={whole_run / 'model'}"]
    network = Trainer(load_config(DEBUG, [*start, "model.working_size=96", "model.tile=128"])).network
    assert (network.config.working_size, network.config.tile, network.tile) == (96, 128, 128)
    with pytest.raises(ValueError, match=r"model\.token_dim cannot differ"):
        Trainer(load_config(DEBUG, [*start, "model.token_dim=16"]))


def test_two_processes_give_the_curve_of_one(two_processes, finished_run):
    two = two_processes.folder / "plain"
    counts = [json.loads((run / "starts.json").read_text())[0]["processes"] for run in (finished_run, two)]
    assert counts == [1, 2]
    one, both = ([r["loss"] for r in read_curve(run / "loss.csv")] for run in (finished_run, two))
    assert len(one) == 8
    assert one == pytest.approx(both, rel=1e-4)


def test_accumulation_does_not_change_the_step(debug_overrides):
    parts = [
        Trainer(load_config(DEBUG, [*debug_overrides, "steps=2", f"micro_batch={m}", f"name=m{m}"])) for m in (4, 1)
    ]
    for trainer in parts:
        trainer.start_feed(0)
    losses = [float(t.train_step(0)["loss"]) for t in parts]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    first, second = (dict(t.network.named_parameters()) for t in parts)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=2e-5, rtol=1e-3)


def test_real_pairs_are_mixed_in(debug_overrides, pair_folder):
    overrides = [*debug_overrides, f"data.root={pair_folder.parent}", f"data.pairs={{{pair_folder.name}: 1.0}}"]
    photos = debug_overrides[1].split("[")[1].rstrip("]")
    trainer = Trainer(load_config(DEBUG, [*overrides, f"data.clean=[{photos}]", "data.pair_share=0.5"]))
    real = trainer.data.batch(range(40), 64)["real"]
    assert 8 < int(real.sum()) < 32
    assert trainer.validator is not None and trainer.validator.real[pair_folder.name]
    row = trainer.validator.run(trainer.objective, trainer.accelerator.device)
    assert row["real_aligned"] == row[f"{pair_folder.name}_aligned"] and "hinted" in row


def test_the_rate_warms_up_stays_and_falls():
    config = DereflectionRun(name="x", steps=100, optimizer={"lr": 1.0, "warmup": 10, "decay": 0.5})
    rates = [learning_rate(s, config) for s in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[49] == 1.0
    assert rates[75] == pytest.approx(0.5) and rates[99] < 0.01
    shorter = DereflectionRun(name="x", steps=60, optimizer={"lr": 1.0, "warmup": 10, "decay": 0.5, "horizon": 100})
    assert [learning_rate(s, shorter) for s in range(60)] == rates[:60]
    with pytest.raises(ValueError, match="horizon must be at least steps"):
        DereflectionRun(name="x", steps=100, optimizer={"horizon": 60})


@pytest.mark.slow
def test_after_its_minutes_a_run_ends_with_its_rate_at_zero(debug_overrides, monkeypatch):
    monkeypatch.setattr(trainer_module, "time", Clock(repeat(0.25)))  # five looks at it a step, two of them for batches
    more = ["steps=100000", "minutes=0.0625", "optimizer.decay=1.0", "optimizer.warmup=1", "optimizer.lr=1e-3"]
    trainer = Trainer(load_config(DEBUG, [*debug_overrides, *more]))
    assert trainer.run()
    rows = read_curve(trainer.out / "loss.csv")
    told = [(row["step"], row["seconds"], row["waited"], row["lr"]) for row in rows]
    rates = [pytest.approx(1e-3 * share) for share in (1.0, 0.75, 0.25)]
    assert told == [(1, 1.25, 0.5, rates[0]), (2, 2.5, 1.0, rates[1]), (3, 3.75, 1.5, rates[2])]
    record = json.loads((trainer.out / "model" / "record.json").read_text())
    assert record["steps_done"] == 3 and record["samples_seen"] == 12
    again = Trainer(load_config(DEBUG, [*debug_overrides, *more]))
    assert again.run() and read_curve(again.out / "loss.csv") == rows  # nothing is left to do


def test_a_schedule_follows_what_is_further_steps_or_minutes():
    config = DereflectionRun(name="x", steps=100, minutes=10, optimizer={"lr": 1.0, "warmup": 1, "decay": 0.5})
    assert learning_rate(0, config, 0) == learning_rate(40, config, 100) == 1.0
    assert learning_rate(40, config, 450) == learning_rate(75, config, 0) == pytest.approx(0.5)
    assert learning_rate(40, config, 700) == pytest.approx(0)


@pytest.mark.slow
def test_the_model_is_written_on_the_way_and_training_is_none_the_wiser(debug_overrides):
    def run(name: str, *more: str) -> Trainer:
        trainer = Trainer(load_config(DEBUG, [*debug_overrides, *QUICK, "steps=4", f"name={name}", *more]))
        models = []
        export = trainer.export
        trainer.export = lambda step: models.append((step, export(step)))  # type: ignore[method-assign]
        assert trainer.run()
        assert [step for step, _ in models] == ([3, 4] if more else [4])
        return trainer

    plain, exported = run("plain"), run("exported", "export_every=3")
    for a, b in zip(plain.trained, exported.trained, strict=True):
        assert torch.equal(a, b)
    shards = [sorted((t.out / "model" / "network").glob("*.safetensors")) for t in (plain, exported)]
    assert shards[0] and [f.read_bytes() for f in shards[0]] == [f.read_bytes() for f in shards[1]]


@pytest.mark.slow
def test_a_run_asked_to_stop_leaves_the_model_where_one_is_written_on_the_way(debug_overrides):
    trainer = Trainer(load_config(DEBUG, [*debug_overrides, "export_every=100", "name=stopped"]))
    trainer.stop_asked = True
    assert not trainer.run()
    assert json.loads((trainer.out / "model" / "record.json").read_text())["steps_done"] == 1


@pytest.mark.slow
def test_what_is_frozen_stays_and_rates_are_scaled(debug_overrides):
    more = ["freeze=[encoder.lite.blocks.*.depthwise.*]", "optimizer.scales={encoder.lite: 0.1, encoder: 0.5}"]
    trainer = Trainer(load_config(DEBUG, [*debug_overrides, *more, "steps=2", "optimizer.warmup=1"]))
    before = {n: p.clone() for n, p in trainer.network.named_parameters()}
    trainer.start_feed(0)
    trainer.train_step(0)
    changed = {n for n, p in trainer.network.named_parameters() if not torch.equal(p, before[n])}
    assert "decoder.head.weight" in changed and not any("depthwise" in n for n in changed)
    rates = sorted({round(group["lr"] / trainer.config.optimizer.lr, 6) for group in trainer.optimizer.param_groups})
    assert rates == [0.1, 0.5, 1.0]
    counts = {group["scale"]: len(group["params"]) for group in trainer.optimizer.param_groups}
    assert counts[0.5] == 4 and counts[0.1] > 20  # detail and to_latent; the pretrained network
    for wrong, said in (
        ("freeze=[nothing.*]", "freeze: 'nothing"),
        ("optimizer.scales={nothing: 0.1}", "nothing match"),
    ):
        with pytest.raises(ValueError, match=said):
            Trainer(load_config(DEBUG, [*debug_overrides, wrong, "name=wrong"]))


def test_bad_settings_are_named(debug_overrides):
    config = load_config(DEBUG, debug_overrides)
    with pytest.raises(ValueError, match="3 processes"):
        share_of_batch(config, 3)
    with pytest.raises(ValueError, match="micro_batch 3"):
        share_of_batch(config.model_copy(update={"micro_batch": 3}), 1)
    with pytest.raises(ValueError, match="matches no parameter"):
        Trainer(config.model_copy(update={"train": ["nothing"]}))
    with pytest.raises(ValueError, match="this stage's objective uses"):
        Trainer(config.model_copy(update={"train": ["local"]}))
    with pytest.raises(ValueError, match="multiples of 32"):
        Trainer(load_config(DEBUG, [*debug_overrides, "data.sizes=[64,72]"]))
    with pytest.raises(ValueError, match="does not fit into 64 px"):
        Trainer(load_config(DEBUG, [*debug_overrides, "objective=local", "data.crop=96", "data.whole=64"]))
    with pytest.raises(LimpidError, match="no folder"):
        Trainer(load_config(DEBUG, ["data.root=/nowhere"]))
