"""The command that draws the blur families as a picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.sheets import sheet_size, shown
from training.evaluation import blur_sheet


def test_the_sheet_has_a_row_a_family(photo_folder, tmp_path, capsys):
    out = tmp_path / "blur.png"
    arguments = ["--photos", str(photo_folder), "--samples", "1", "--out", str(out)]
    blur_sheet.main([*arguments, "--families", "linear", "objects"])
    sheet = Image.open(out)
    assert str(out) in capsys.readouterr().out
    assert sheet.size == sheet_size(5, 2, 320)
    for row in range(2):
        sharp, blurred, spread, *_ = (shown(np.asarray(sheet), column, row, 320) for column in range(5))
        assert 1 < np.abs(blurred - sharp).mean() < 0.5 * sharp.std()  # the same picture, but not as sharp
        assert spread.max() > 200 and np.median(spread) < 20  # dots on black


@pytest.mark.parametrize(
    ("wrong", "said"), [(["--families", "liner"], "no blur family liner"), (["--samples", "0"], "at least 1")]
)
def test_wrong_arguments_are_named(photo_folder, wrong, said, capsys):
    with pytest.raises(SystemExit):
        blur_sheet.main(["--photos", str(photo_folder), *wrong])
    assert said in capsys.readouterr().err


def test_given_kernels_need_their_folder(photo_folder, capsys):
    with pytest.raises(SystemExit):
        blur_sheet.main(["--photos", str(photo_folder), "--families", "kernels"])
    assert "set kernels" in capsys.readouterr().err


def test_segments_of_the_field_have_its_length_and_direction():
    motion = torch.zeros(2, 120, 120)
    motion[0] = 8  # to the right
    drawn = blur_sheet.draw_field(np.zeros((120, 120, 3), np.uint8), motion)
    lit = drawn[..., 0] > 100
    row = lit[5]  # the first row of segments, ten pixels apart
    assert 0.6 < row.mean() < 0.95 and lit[10].sum() == 0
