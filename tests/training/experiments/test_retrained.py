"""A new model against the one in use, on what was held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.catalog import Catalog
from models.errors import LimpidError
from tests.training.conftest import DEBUG, overrides_for
from training.experiments.retrained import compare, main, verdict
from training.publish import publish
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


@pytest.mark.parametrize(
    ("figures", "text", "offered", "better"),
    [
        ((25.3, 22.0, 25.0), "Better by 0.30 dB than usual, and by 3.30 dB than doing nothing.", True, True),
        ((24.0, 22.0, 25.0), "Better by 2.00 dB than doing nothing, but worse by 1.00 dB than usual.", True, False),
        ((21.5, 22.0, 25.0), "Worse than doing nothing (by 0.50 dB): not offered.", False, False),
        ((21.5, 22.0, 21.0), "Worse than doing nothing (by 0.50 dB): not offered.", False, False),
    ],
)
def test_the_verdict(figures: tuple[float, float, float], text: str, offered: bool, better: bool) -> None:
    found = verdict(*figures, "usual")
    assert (found["text"], found["offered"], found["better"]) == (text, offered, better)


@pytest.mark.slow
def test_both_models_are_measured_on_held_out_photos_and_pairs(
    split_photos: Path, pair_folder: Path, tiny_pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = overrides_for(split_photos, tmp_path / "runs")
    pairs = f"data.pairs={{{pair_folder}: 1.0}}"
    trainer = Trainer(load_config(DEBUG, [*overrides, "steps=2", pairs, "data.hold_out=0.1"]))
    assert trainer.run()
    run, out = trainer.out / "model", tmp_path / "report"
    main(["--run", str(run), "--against", str(tiny_pipeline), "--out", str(out)])
    found = json.loads((out / "verdict.json").read_text())
    assert found["text"] in capsys.readouterr().out
    made = sorted(path.stem for path in (out / "pairs" / "input").iterdir())
    assert found["pairs"] == len(made) > 16 and made == sorted(p.stem for p in (out / "pairs" / "target").iterdir())
    reports = {name: json.loads((out / name / "report.json").read_text()) for name in ("new", "in_use")}
    for name, figure in (("new", "new"), ("in_use", "in_use")):
        assert found["psnr"][figure] == round(reports[name]["scores"]["output"]["psnr"]["mean"], 3)
        assert found["psnr"]["untouched"] == round(reports[name]["scores"]["input"]["psnr"]["mean"], 3)
    folder = publish(run, Catalog.load().get("dereflection-small"), [out / "new"], tmp_path / "published")
    assert "held-out" in json.loads((folder / "quality.json").read_text())


def test_nothing_is_measured_on_what_was_trained_on(finished_run: Path, tiny_pipeline: Path, tmp_path: Path) -> None:
    from training.core.export import finished_run as record_of
    from training.data.sources import photo_files, split
    from training.tasks.registry import make_run

    data = make_run(record_of(finished_run / "model")["config"]).data
    files = photo_files(data)
    if not set(split(files, data.hold_out, True)) & set(split(files, data.hold_out, False)):
        pytest.skip("some of these photos are held out")
    with pytest.raises(LimpidError, match="held out none of the 8 photos"):
        compare(finished_run / "model", str(tiny_pipeline), tmp_path / "report")
