"""Spread and leak, with pipelines that leave everything, half or nothing of what the poses change."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import LimpidError
from models.images import to_linear, to_srgb
from tests.training.sheets import sheet_size
from training import evaluate
from training.data.sources import held_out
from training.evaluation.restorer import Restorer
from training.tasks.dereflection.invariance import covariance_of, mean_pairwise_rmse


def layer(photo: np.ndarray, image: np.ndarray) -> np.ndarray:
    light = [to_linear(torch.from_numpy(picture)) for picture in (photo, image)]
    return to_srgb(light[0] - light[1]).numpy()


def pipeline(keep: float):
    """Shrinks the photo towards gray: ``keep`` of every difference between poses is left."""

    def restore(photo: np.ndarray, **_: object) -> SimpleNamespace:
        image = (0.5 + keep * (photo - 0.5)).astype(np.float32)
        return SimpleNamespace(image=image, reflection=layer(photo, image), plan={})

    return restore


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.0])
def test_what_is_kept_of_the_differences_is_what_is_measured(keep: float, split_photos: Path, tmp_path: Path) -> None:
    args = ["--model", "x", "--poses", "--scenes", "2", "--data", str(split_photos), "--out", str(tmp_path)]
    text = evaluate.evaluate(evaluate.parser().parse_args(args), Restorer(pipeline(keep), {"model": "m"}))
    rows = (tmp_path / "images.csv").read_text().splitlines()
    assert len(rows) == 3 and "spread" in text
    assert Image.open(tmp_path / "contact_sheet.png").size == sheet_size(7, 2, 256)
    summary = json.loads((tmp_path / "report.json").read_text())
    assert summary["leak"]["mean"] == pytest.approx(keep, abs=0.03)
    for row in rows[1:]:
        _, _, spread_in, spread_out, leaking, reflected, residual, _ = row.split(",")
        assert float(spread_in) > 1
        assert float(spread_out) == pytest.approx(keep * float(spread_in), rel=0.05, abs=0.01)
        assert float(leaking) == pytest.approx(keep * float(reflected), rel=0.1, abs=0.05)
        # A picture that is brighter than the photo has no layer that adds up to it.
        assert float(residual) < 0.5 if keep == 1 else float(residual) > 3


def test_spread_and_leak_of_plain_pictures() -> None:
    flat = np.full((4, 4, 3), 100, np.uint8)
    marked = flat.copy()
    marked[0] = 108
    assert mean_pairwise_rmse([flat, flat, flat]) == 0 and mean_pairwise_rmse([flat, marked]) == pytest.approx(4)
    layers = [flat - flat, marked - flat]
    # A quarter of the pixels differ by 8 levels: 4 from the mean on either side.
    assert covariance_of([flat, marked], layers) == 4.0 and covariance_of([flat, flat], layers) == 0
    assert covariance_of([marked, flat], layers) == -4.0


def test_photos_of_the_training_side_alone_are_refused(split_photos: Path, tmp_path: Path) -> None:
    trained = next(p for p in split_photos.iterdir() if not held_out(p.stem, 0.1))
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / trained.name).write_bytes(trained.read_bytes())
    args = ["--model", "x", "--poses", "--data", str(tmp_path / "only"), "--out", str(tmp_path / "out")]
    with pytest.raises(LimpidError, match="held out"):
        evaluate.evaluate(evaluate.parser().parse_args(args), Restorer(pipeline(1.0), {}))
    args = ["--model", "x", "--poses", "--scenes", "0", "--data", str(split_photos), "--out", str(tmp_path / "out")]
    with pytest.raises(LimpidError, match="at least 1"):
        evaluate.evaluate(evaluate.parser().parse_args(args), Restorer(pipeline(1.0), {}))
