"""The stages of semantic guidance through the training script, at tiny size; measurement and publication."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from models.catalog import Catalog, CatalogEntry
from models.integrity import SUMS, find_alteration, read_sums
from models.semantics.network import KINDS
from models.semantics.vocabulary import vocabulary
from tests.training.conftest import DEBUG
from training.core.checkpointing import list_checkpoints
from training.core.curves import read_curve
from training.data.manifest import DataError
from training.data.semantic import split_of
from training.evaluation.protocol import EvaluationError
from training.evaluation.restorer import load_restorer
from training.publish import publish
from training.tasks.registry import load_config
from training.tasks.semantics import calibration
from training.tasks.semantics.dataset import UNKNOWN, DegradedPhotos
from training.tasks.semantics.evaluation import interval, macro, reliability
from training.tasks.semantics.evaluation import main as evaluate
from training.tasks.semantics.validation import auc, macro_recall
from training.tasks.trainer import Trainer

SEMANTICS = DEBUG.with_name("debug-semantics.yaml")


@pytest.fixture(scope="module")
def named_photos(tmp_path_factory) -> Path:
    """Photos of dogs (stripes) and birds (blots) of every side of the split, two classes each."""
    folder = tmp_path_factory.mktemp("photos")
    for place, tag in enumerate(("dog", "bird")):
        for side in ("train", "validation", "test"):
            names = [
                name for name in vocabulary().outputs if vocabulary().classes[name] == tag and split_of(name) == side
            ]
            for number, name in enumerate(names[:2]):
                coarse = np.random.default_rng(number).integers(0, 255, (9, 1 if place else 12, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((96, 80)).save(folder / f"{name}_{number}_{tag}.png")
    return folder


@pytest.fixture
def overrides(named_photos, tmp_path) -> list[str]:
    return [f"data.root={named_photos.parent}", f"data.clean=[{named_photos.name}]", f"out={tmp_path / 'runs'}"]


def last(run: Path) -> dict[str, torch.Tensor]:
    return load_file(list_checkpoints(run)[-1][1] / "model.safetensors")


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_one_that_was_not(overrides):
    settings = [*overrides, "steps=4", "validate_every=4"]
    whole = Trainer(load_config(SEMANTICS, [*settings, "name=whole"]), cpu=True)
    assert whole.run()
    broken = Trainer(load_config(SEMANTICS, [*settings, "name=broken"]), cpu=True)
    step = broken.train_step

    def ask(number):
        broken.stop_asked = number == 1
        return step(number)

    broken.train_step = ask
    assert not broken.run()
    again = Trainer(load_config(SEMANTICS, [*settings, "name=broken"]), cpu=True)
    assert again.run()
    first, second = last(whole.out), last(again.out)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {"sharp", "glass", "blur", "reflection"} <= set(read_curve(whole.out / "validation.csv")[-1])


@pytest.mark.slow
def test_the_second_stage_trains_the_heads_alone_on_samples_seen_once(overrides):
    first = Trainer(load_config(SEMANTICS, [*overrides, "steps=1", "losses={distill: 1.0}", "name=first"]), cpu=True)
    assert first.run()
    heads = ["losses={reflection: 1.0, blur: 1.0}", "train=[diagnosis]", "data.samples=4", "data.keep=true"]
    second = load_config(SEMANTICS, [*overrides, *heads, "steps=30", f"init_from={first.out / 'model'}", "name=second",
                                     "optimizer.lr=0.01", "optimizer.warmup=1", "model={}", "dropout=0.1"])  # fmt: skip
    trainer = Trainer(second, cpu=True)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    assert trainer.run()
    changed = {name for name, value in trainer.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("diagnosis.") for name in changed)
    assert len(trainer.data._kept) == len(trainer.objective._kept) == 4
    losses = [row["loss"] for row in read_curve(trainer.out / "loss.csv")]
    assert losses[-1] < losses[0] - 0.3
    assert (trainer.out / "model" / "lineage" / "first" / "record.json").is_file()


def test_a_student_is_taught_by_the_network_that_the_stage_began_with(overrides):
    trainer = Trainer(load_config(SEMANTICS, [*overrides, "losses={distill: 1.0}"]), cpu=True)
    batch = trainer.data.batch([0, 1], 64)
    objective = trainer.objective
    with torch.no_grad():
        shares = trainer.network(batch["sharp"]).softmax(1)
        same = objective({**batch, "input": batch["sharp"]}, [0, 1])[0]
        assert torch.allclose(same, -(shares * shares.log()).sum(1), atol=1e-4)  # its own entropy: the least there is
        trainer.network.classifier.bias[0] += 5
        assert (objective({**batch, "input": batch["sharp"]}, [0, 1])[0] > same).all()


def test_samples_depend_on_their_index_alone_and_say_what_was_done(overrides):
    config = load_config(SEMANTICS, overrides).data
    data = DegradedPhotos(config, 3)
    batch = data.batch(range(24), 64)
    assert batch["input"].shape == (24, 3, 64, 64) and 0 <= batch["input"].min() <= batch["input"].max() <= 1
    alone = DegradedPhotos(config, 3).batch([5], 64)
    assert all(torch.allclose(alone[name][0], batch[name][5], atol=2 / 255) for name in alone)
    glass, blurred = batch["reflection"] > 0, batch["kind"] > 0
    assert 3 <= glass.sum() <= 16 and 3 <= blurred.sum() <= 16
    assert set(batch["kind"].tolist()) <= {UNKNOWN, *range(len(KINDS))}
    assert (batch["blur"][blurred] > 0).all() and (batch["reflected"][~glass] == 0).all()
    untouched = ~glass & (batch["kind"] == 0)
    assert (batch["input"] - batch["sharp"])[untouched].abs().mean() < 0.03
    held = DegradedPhotos(config, 3, validation=True)
    assert not {f.name for f in held.photos.files} & {f.name for f in data.photos.files}
    sides = {split_of(f) for f in (*held.photos.files, *data.photos.files)}
    assert sides == {"train", "validation"}


def test_real_pairs_are_reflected_or_their_target_is_clean(overrides, named_photos, tmp_path):
    for side, added in (("input", 40), ("target", 0)):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        for n in range(3):
            plain = np.random.default_rng(n).integers(0, 200, (80, 96, 3), dtype=np.uint8)
            plain[:, :48] += np.uint8(added)
            Image.fromarray(plain).save(tmp_path / "pairs" / side / f"{n}.png")
    more = [f"data.pairs={{{tmp_path / 'pairs'}: 1.0}}", "data.pair_share=1.0", "data.hold_out=0.0"]
    batch = DegradedPhotos(load_config(SEMANTICS, [*overrides, *more]).data, 0).batch(range(12), 64)
    there = batch["reflected"] == 1
    assert 0 < there.sum() < 12 and (batch["reflection"][there] > 0.02).all()
    assert torch.equal(batch["input"][~there], batch["sharp"][~there])
    assert (batch["kind"] == UNKNOWN).all()


def test_photos_of_one_side_alone_are_refused(named_photos, tmp_path, overrides):
    (tmp_path / "test").mkdir()
    for file in named_photos.iterdir():
        if split_of(file) == "test":
            shutil.copy(file, tmp_path / "test")
    with pytest.raises(DataError, match="no photo of the train split in test"):
        DegradedPhotos(load_config(SEMANTICS, [f"data.root={tmp_path}", "data.clean=[test]"]).data, 0)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("losses={distill: 1.0, charbonnier: 1.0}", "losses of semantics are distill, reflection, blur"),
        ("data.sizes=[50]", "must be multiples of 32; got 50"),
        ("data.both=0.9", "glass_share and blur_share"),
        ("data.pair_share=0.5", "pair_share needs pairs"),
        ("data.guidance={}", "not for the guide itself"),
    ],
)
def test_settings_that_do_not_fit_are_refused(overrides, override, complaint):
    with pytest.raises(ValueError, match=complaint):
        Trainer(load_config(SEMANTICS, [*overrides, override]), cpu=True)


def test_macro_recall_counts_every_tag_alike():
    tags = ["dog"] * 8 + ["bird"] * 2
    assert macro([True] * 8 + [False] * 2, tags) == 0.5
    scores = torch.tensor([[0.9, 0.1, 0.0, 0.2], [0.9, 0.8, 0.1, 0.0]])
    assert macro_recall(scores, [0, 2], top=1) == 0.5
    found = interval([True] * 8 + [True, False], tags, [f"c{n}" for n in range(10)])
    assert found["mean"] == 0.75 and found["low"] == 0.5 and found["high"] == 1.0


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    assert auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75
    assert auc([1.0, 1.0], [True, False]) == 0.5 and np.isnan(auc([1.0], [True]))


def test_reliability_weighs_both_answers_alike():
    rows = reliability([0.9, 0.9, 0.9, 0.1], [True, True, False, False])
    assert [row["count"] for row in rows] == [1, 3] and rows[0]["share"] == 0.0
    assert rows[1]["share"] == pytest.approx(0.5 / 0.75) and rows[1]["likelihood"] == pytest.approx(0.9)


def test_a_temperature_makes_the_likelihoods_right():
    torch.manual_seed(0)
    logits = torch.randn(4000)
    labels = (torch.rand(4000) < logits.sigmoid()).float()
    assert calibration.temperature(logits * 3, labels) == pytest.approx(3, rel=0.15)
    rows = torch.randn(4000, 4)
    kinds = torch.multinomial(rows.softmax(1), 1)[:, 0]
    assert calibration.temperature(rows * 0.5, kinds) == pytest.approx(0.5, rel=0.15)


def test_thresholds_leave_as_many_alone_as_asked():
    rng = np.random.default_rng(0)
    reflected, blurred = rng.random(400), rng.random(400)
    low, high = calibration.thresholds(reflected, blurred)
    alone = ((reflected <= low) & (blurred <= high)).mean()
    assert 0.95 <= alone < 0.96


@pytest.mark.slow
def test_a_run_is_calibrated_measured_and_published(overrides, named_photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(calibration, "SAMPLES", 32)
    trainer = Trainer(load_config(SEMANTICS, [*overrides, "steps=2"]), cpu=True)
    assert trainer.run()
    run, reports = tmp_path / "calibrated", [tmp_path / "words", tmp_path / "diagnosis"]
    calibration.main(["--run", str(trainer.out / "model"), "--out", str(run)])
    chosen = json.loads((run / "record.json").read_text())["calibration"]
    config = json.loads((run / "network" / "config.json").read_text())
    assert config["thresholds"] == chosen["thresholds"] and config["temperatures"] == chosen["temperatures"]
    assert chosen["left_alone"] >= 0.95 and find_alteration(run, read_sums(run / SUMS)) is None
    evaluate(["--model", str(run), "--data", str(named_photos), "--out", str(reports[0])])
    assert "| sharp |" in capsys.readouterr().out
    more = ["--reflected", str(named_photos), "--blurred", str(named_photos)]
    evaluate(["--model", str(run), "--sharp", str(named_photos), *more, "--out", str(reports[1])])
    words, diagnosis = (json.loads((report / "report.json").read_text()) for report in reports)
    assert words["images"] == words["with_word"] == 4 and set(words["recall"]) == {"sharp", "severe", "glass", "blur"}
    assert words["recall"]["severe"]["photos"] == 8 and 0 <= words["recall"]["sharp"]["word_in_five"] <= 1
    assert {name: len(rows) for name, rows in diagnosis["real"].items()} == {"reflection": 12, "blur": 12, "sharp": 12}
    assert all(0 <= row["auc"] <= 1 for row in diagnosis["faults"].values())
    entry = Catalog.load().get("semantics-small")
    assert isinstance(entry, CatalogEntry)
    done = publish(run, entry, reports, tmp_path / "checkpoints")
    assert find_alteration(done, read_sums(done / SUMS)) is None
    card = (done / "README.md").read_text()
    assert "macro recall at 3" in card and "area under the ROC curve" in card and "temperatures" in card
    assert f"{len(vocabulary().words)} everyday words" in card and "{" not in card
    quality = json.loads((done / "quality.json").read_text())
    assert set(quality[f"{named_photos.name}, blur"]) == {"AUC", "found"}
    shutil.rmtree(done)


def test_a_guide_is_not_measured_as_a_restorer(tiny_semantics):
    with pytest.raises(EvaluationError, match="says what photos show"):
        load_restorer(str(tiny_semantics))


def test_measuring_what_does_not_go_together_says_so(tiny_semantics, photo_folder, capsys):
    for more in (["--data", str(photo_folder)], ["--data", str(photo_folder), "--blurred", str(photo_folder)]):
        with pytest.raises(SystemExit):
            evaluate(["--model", str(tiny_semantics), *more])
    said = capsys.readouterr().err
    assert "tells an ImageNet class" in said and "go with --sharp" in said
