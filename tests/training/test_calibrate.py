"""How much of the change to apply: chosen on what was held out, written whole, or not at all."""

import json
from itertools import product

import numpy as np
import pytest
import torch

from models.dereflection.pipeline import DereflectionPipeline
from models.integrity import SUMS, find_alteration, fingerprint, read_sums
from tests.training.conftest import DEBUG, QUICK
from training import calibrate
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


@pytest.fixture
def run(debug_overrides, pair_folder):
    pairs = [f"data.pairs={{{pair_folder}: 1.0}}", f"data.held_pairs={{{pair_folder}: ['']}}", "data.pair_share=0.0"]
    trainer = Trainer(load_config(DEBUG, [*debug_overrides, *pairs, *QUICK, "steps=1"]))
    # A head that darkens everything a little: some of the veil of the made pairs comes off, and more is too much.
    torch.nn.init.constant_(trainer.network.decoder.head.bias, -0.08)
    trainer.run()
    return trainer.out / "model"


@pytest.mark.slow
def test_the_effect_with_the_best_gain_is_written(run, tmp_path, capsys):
    out = tmp_path / "calibrated"
    calibrate.main(["--run", str(run), "--out", str(out)])
    calibration = json.loads((out / "record.json").read_text())["calibration"]
    keys = ("working_size", "global_affine_weight", "residual_scale")
    tried = list(product(calibrate.GLOBAL_AFFINE_WEIGHTS, calibrate.RESIDUAL_SCALES))
    sizes = [row["working_size"] for row in calibration["rows"] if not row["flip_tta"]]
    assert sizes == [size for size in (64, 96) for _ in tried]
    rows = {tuple(row[key] for key in keys): row for row in calibration["rows"] if not row["flip_tta"]}
    assert list(rows) == [(size, *one) for size in (64, 96) for one in tried]
    best = calibrate.choose(calibration["rows"])
    flipped = [row for row in calibration["rows"] if row["flip_tta"]]
    assert [tuple(row[key] for key in keys[1:]) for row in flipped] == tried
    assert {row["working_size"] for row in flipped} == {max(rows.values(), key=calibrate.criterion)["working_size"]}
    chosen = tuple(calibration[key] for key in keys)
    assert chosen == tuple(best[key] for key in keys) and calibration["flip_tta"] == best["flip_tta"]
    assert sum(calibration["pairs"].values()) == 8
    assert rows[64, 1.0, 0.4]["sharp"] > rows[64, 1.0, 1.0]["sharp"]  # the less applied, the less done to it
    assert rows[64, 0.0, 1.0]["sharp"] > rows[64, 0.5, 1.0]["sharp"] > rows[64, 1.0, 1.0]["sharp"]
    assert find_alteration(out, read_sums(out / SUMS)) is None and fingerprint(out) != fingerprint(run)
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(calibration["rows"])

    written = DereflectionPipeline.from_pretrained(out).network.config
    assert (written.working_size, written.global_affine_weight, written.residual_scale) == chosen
    assert written.flip_tta is calibration["flip_tta"]

    detection = calibration["detection"]
    assert written.detection_threshold == detection["threshold"] >= calibrate.MIN_THRESHOLD
    assert detection["clean_found"] < 0.5 and 0 <= detection["pairs_found"] <= 1  # of 3 clean photos at most one

    photo = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32) * 0.5 + 0.25
    pipelines = [DereflectionPipeline.from_pretrained(folder) for folder in (run, out)]
    pipelines[0].network.register_to_config(
        working_size=chosen[0], global_affine_weight=chosen[1], flip_tta=calibration["flip_tta"]
    )
    whole, part = (pipeline(photo).image for pipeline in pipelines)
    np.testing.assert_allclose(part - photo, calibration["residual_scale"] * (whole - photo), atol=1e-3)
    assert np.abs(whole - photo).max() > 0.01


def test_without_real_pairs_simulated_ones_choose(whole_run, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "SIMULATED_PAIRS", 4)
    calibrate.calibrate(whole_run / "model", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["calibration"]["pairs"] == {"simulated": 4}


def test_what_is_no_finished_run_is_refused(whole_run, tmp_path, capsys):
    (whole_run / "model" / "network" / "config.json").write_text("{}")
    for folder, said in ((tmp_path, "no finished run"), (whole_run / "model", "not the one its run wrote")):
        with pytest.raises(SystemExit) as stop:
            calibrate.main(["--run", str(folder), "--out", str(tmp_path / "out")])
        assert stop.value.code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_flip_ensemble_must_earn_its_time():
    row = {"flip_tta": False, "psnr": 1.0, "aligned": 0.5}
    flipped = {"flip_tta": True, "psnr": 1.06, "aligned": 0.5}
    assert calibrate.choose([row, flipped, {**row, "psnr": 0.9}]) is row
    better = {**flipped, "aligned": 0.55}
    assert calibrate.choose([row, flipped, better]) is better
