"""Contact sheets, taken apart again."""

from __future__ import annotations

import numpy as np

from training.evaluation.sheet import GAP, LINE, THUMBNAIL_PX


def sheet_size(columns: int, rows: int, height: int) -> tuple[int, int]:
    """Width and height of a sheet of pictures of that height: two lines above, and one over each row."""
    return GAP + columns * (THUMBNAIL_PX + GAP), 2 * (LINE + GAP) + rows * (LINE + height + GAP)


def shown(sheet: np.ndarray, column: int, row: int, side: int) -> np.ndarray:
    """The square picture at a place of a sheet of pictures of one height, float64."""
    left, top = GAP + column * (THUMBNAIL_PX + GAP), 3 * LINE + GAP + row * (LINE + side + GAP)
    return sheet[top : top + side, left : left + side].astype(float)
