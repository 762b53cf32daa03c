"""The two commands about the simulator: one to look at it, one to compare it with real pairs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.conftest import DEBUG
from tests.training.sheets import sheet_size, shown
from training.experiments import glass_sheet, glass_statistics


def test_the_sheet_shows_poses_across_and_strengths_down(photo_folder, tmp_path):
    out = tmp_path / "glass.png"
    glass_sheet.main(["--photos", str(photo_folder), "--scenes", "1", "--poses", "2", "--out", str(out)])
    sheet = Image.open(out)
    assert sheet.size == sheet_size(4, 3, 256)
    pictures = [[shown(np.asarray(sheet), column, row, 256) for column in range(4)] for row in range(3)]
    added = [[np.abs(pose - target).mean() for pose in (one, two)] for target, one, two, _ in pictures]
    assert all(0 < weak < middle < strong for weak, middle, strong in zip(*added, strict=True))
    assert all((one != two).mean() > 0.1 for _, one, two, _ in pictures)
    weak, middle, strong = (reflection.mean() for *_, reflection in pictures)
    assert 0 < weak < middle < strong
    with pytest.raises(SystemExit):
        glass_sheet.main(["--photos", str(photo_folder), "--poses", "0"])


def test_statistics_of_real_and_simulated_pairs_stand_side_by_side(debug_overrides, pair_folder, tmp_path, capsys):
    sets = [part for text in [*debug_overrides, f"data.pairs={{{pair_folder}: 1.0}}"] for part in ("--set", text)]
    out = tmp_path / "statistics"
    glass_statistics.main(["--config", str(DEBUG), *sets, "--count", "4", "--out", str(out)])
    figures = json.loads((out / "glass.json").read_text())
    assert list(figures) == [str(pair_folder), "simulated"]
    for rows in figures.values():
        assert all(low <= middle <= high for low, middle, high in rows.values())
    assert (out / "glass.md").read_text() in capsys.readouterr().out


def test_a_veil_is_coarse_and_everywhere_a_spark_is_fine_and_local():
    target = torch.full((3, 64, 64), 0.3)
    veiled, spark = target + 0.2, target.clone()
    spark[:, 10, 10:12] = 1.0
    veil, sharp = glass_statistics.measure(veiled, target), glass_statistics.measure(spark, target)
    assert veil["coarse"] > 0.99 and veil["spread"] > 0.8 and veil["clipped"] == 0
    assert sharp["fine"] > 0.5 and sharp["spread"] < 0.01 and sharp["clipped"] == pytest.approx(2 / 64**2)
    assert veil["added"] > sharp["added"] > 0
    assert veil["psnr"] == pytest.approx(-20 * np.log10(52 / 255), abs=0.01)  # rounded to 8 bits
