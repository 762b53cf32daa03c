"""Curves: rows that a resumed run takes back, and the drawing of each measure by itself."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from training.core.curves import CurveFile, plot_curves, read_curve


def write(folder: Path, measures: int) -> None:
    for step in (10, 20, 30):
        CurveFile(folder / "loss.csv", step).add({"step": step, "loss": 1 / step, "seconds": 0.1})
        values = {f"measure_{number}": float(step) for number in range(measures)}
        CurveFile(folder / "validation.csv", step).add({"step": step, **values})


def test_rows_after_the_step_resumed_from_are_dropped(tmp_path):
    write(tmp_path, 1)
    CurveFile(tmp_path / "loss.csv", 20).add({"step": 25, "loss": 0.5, "seconds": 0.1})
    assert [row["step"] for row in read_curve(tmp_path / "loss.csv")] == [10, 20, 25]


def test_every_measure_has_a_panel_of_its_own(tmp_path):
    heights = []
    for measures in (1, 4):
        folder = tmp_path / str(measures)
        folder.mkdir()
        write(folder, measures)
        drawn = plot_curves(folder)
        assert drawn == folder / "curves.png"
        heights.append(Image.open(drawn).height)
    assert heights[1] > heights[0]  # two rows of panels


def test_without_curves_nothing_is_drawn(tmp_path):
    assert plot_curves(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_run_that_goes_on_keeps_its_columns(tmp_path):
    write(tmp_path, 1)
    curve = CurveFile(tmp_path / "loss.csv", 20)
    assert curve.last("loss") == 0.05 and curve.last("waited") == 0.0
    curve.add({"step": 25, "waited": 3.0, "loss": 0.5, "seconds": 0.2})
    assert read_curve(tmp_path / "loss.csv")[-1] == {"step": 25, "loss": 0.5, "seconds": 0.2}
