"""Which rows of a contact sheet are chosen."""

import numpy as np
from PIL import Image

from tests.training.sheets import sheet_size, shown
from training.evaluation.sheet import PAPER, REMOVED, THUMBNAIL_PX, SheetRow, contact_sheet, extremes, thumbnail


def test_worst_median_and_best_from_different_scenes() -> None:
    values = np.arange(40.0)
    scenes = [str(index // 10) for index in range(40)]  # the worst ten are all of scene 0
    chosen = extremes(values, scenes, count=2)
    assert [place for _, place in chosen] == ["worst"] * 2 + ["median"] * 2 + ["best"] * 2
    assert [index for index, _ in chosen] == [0, 10, 19, 20, 39, 29]


def test_small_sets_show_no_picture_twice() -> None:
    for size in range(1, 9):
        chosen = [index for index, _ in extremes(np.arange(float(size)), [str(i) for i in range(size)])]
        assert len(chosen) == len(set(chosen)) == min(size, 3 * max(1, size // 3))
    assert extremes(np.array([3.0]), ["a"]) == [(0, "worst")]


def test_thumbnails_shrink_and_never_grow() -> None:
    assert thumbnail(np.zeros((640, 1280, 3), np.uint8)).shape == (THUMBNAIL_PX // 2, THUMBNAIL_PX, 3)
    assert thumbnail(np.zeros((20, 30, 3), np.uint8)).shape == (20, 30, 3)


def test_a_sheet_shows_each_picture_at_its_place_and_what_was_removed_twice_as_bright(tmp_path):
    values = [[30, 60], [90, 200]]
    rows = [SheetRow("a row", [np.full((40, 40, 3), value, np.uint8) for value in row]) for row in values]
    contact_sheet(rows, ["photo", REMOVED], "A sheet", tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (sheet.shape[1], sheet.shape[0]) == sheet_size(2, 2, 40)
    found = [[shown(sheet, column, row, 40) for column in range(2)] for row in range(2)]
    assert [[{*part.flat} for part in row] for row in found] == [[{30}, {120}], [{90}, {255}]]
    assert (sheet[-1] == PAPER).all() and (sheet[:, -1] == PAPER).all()
