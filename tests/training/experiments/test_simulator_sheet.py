"""The command that shows what the simulators make of photos."""

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import DEBUG
from tests.training.sheets import sheet_size, shown
from training.experiments import simulator_sheet


def test_the_sheet_of_glass_shows_poses_across_and_strengths_down(photo_folder, tmp_path, monkeypatch):
    out = tmp_path / "glass.png"
    monkeypatch.setattr(simulator_sheet, "SCENES", 1)
    simulator_sheet.main(["glass", "--photos", str(photo_folder), "--samples", "2", "--out", str(out)])
    sheet = Image.open(out)
    assert sheet.size == sheet_size(4, 3, 256)
    pictures = [[shown(np.asarray(sheet), column, row, 256) for column in range(4)] for row in range(3)]
    added = [[np.abs(pose - target).mean() for pose in (one, two)] for target, one, two, _ in pictures]
    assert all(0 < weak < middle < strong for weak, middle, strong in zip(*added, strict=True))
    assert all((one != two).mean() > 0.1 for _, one, two, _ in pictures)
    weak, middle, strong = (reflection.mean() for *_, reflection in pictures)
    assert 0 < weak < middle < strong


def test_the_sheet_of_blur_has_a_row_a_family_of_the_stage(photo_folder, tmp_path, capsys):
    out = tmp_path / "blur.png"
    stage = ["--config", str(DEBUG.with_name("debug-deblur.yaml"))]
    stage += ["--set", "data.blur.families={others: 0, linear: 1, objects: 1}"]
    simulator_sheet.main(["blur", "--photos", str(photo_folder), "--samples", "1", "--out", str(out), *stage])
    sheet = Image.open(out)
    assert str(out) in capsys.readouterr().out
    assert sheet.size == sheet_size(4, 2, 320)
    for row in range(2):
        sharp, blurred, spread, field = (shown(np.asarray(sheet), column, row, 320) for column in range(4))
        assert 1 < np.abs(blurred - sharp).mean() < 0.5 * sharp.std()  # the same picture, but not as sharp
        assert spread.max() > 200 and np.median(spread) < 20  # dots on black
        assert (field != blurred).mean() > 0.5  # paler, with marks


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--samples", "0"], "at least 1"),
        (["--config", str(DEBUG)], "is a stage of dereflection"),
        (["--config", "none.yaml"], "no configuration"),
    ],
)
def test_wrong_arguments_are_named(photo_folder, wrong, said, tmp_path, capsys):
    with pytest.raises(SystemExit):
        simulator_sheet.main(["blur", "--photos", str(photo_folder), "--out", str(tmp_path / "out.png"), *wrong])
    assert said in capsys.readouterr().err and not (tmp_path / "out.png").exists()
