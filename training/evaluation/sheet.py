"""Contact sheets: pictures side by side, to see what the figures of a report do not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

THUMBNAIL_PX = 320  # pixels, longest side of a thumbnail
GAP = 8
LINE = 22
REMOVED_GAIN = 2  # removed layers are faint, and so are differences
REMOVED, DIFFERENCE = "removed", f"difference (x{REMOVED_GAIN})"  # names of columns
PAPER, INK = (24, 24, 27), (228, 228, 231)


@dataclass(frozen=True)
class SheetRow:
    """A line of text above pictures in a row: uint8, at most `THUMBNAIL_PX` a side."""

    caption: str
    pictures: list[np.ndarray]


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """uint8 H x W x 3, longest side at most `THUMBNAIL_PX`, never enlarged."""
    small = Image.fromarray(picture)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC)
    return np.array(small)


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """``after - before``, `REMOVED_GAIN` times as strong around mid-gray: what was added is bright. uint8, as they."""
    change = after.astype(np.int16) - before.astype(np.int16)
    return np.clip(128 + REMOVED_GAIN * change, 0, 255).astype(np.uint8)


def extremes(values: np.ndarray, scenes: Sequence[str], count: int = 4) -> list[tuple[int, str]]:
    """Return the indices of up to ``count`` each of the worst, middle and best values, with the name of the place.

    No index comes twice, and within a place no scene does: four settings of one scene would show one thing.
    """
    order = [int(index) for index in np.argsort(values, kind="stable")]
    middle = sorted(range(len(order)), key=lambda position: abs(position - (len(order) - 1) / 2))
    count = min(count, max(1, len(order) // 3))
    chosen: dict[str, list[int]] = {}
    taken: set[int] = set()
    candidates = {"worst": order, "best": order[::-1], "median": [order[position] for position in middle]}
    for place, indices in candidates.items():
        seen: set[str] = set()
        chosen[place] = []
        for index in indices:
            if len(chosen[place]) < count and index not in taken and scenes[index] not in seen:
                seen.add(scenes[index])
                chosen[place].append(index)
        taken.update(chosen[place])
    return [(index, place) for place in ("worst", "median", "best") for index in chosen[place]]


def contact_sheet(rows: Sequence[SheetRow], columns: Sequence[str], headline: str, path: Path) -> None:
    """Write a PNG or JPEG: the headline, the names of the columns, then the rows.

    A column named `REMOVED` is shown `REMOVED_GAIN` times as bright, and its name says so.
    """
    names = [f"{name} (x{REMOVED_GAIN})" if name == REMOVED else name for name in columns]
    heights = [LINE + max(picture.shape[0] for picture in row.pictures) + GAP for row in rows]
    width = GAP + (THUMBNAIL_PX + GAP) * len(columns)
    sheet = Image.new("RGB", (width, 2 * LINE + 2 * GAP + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), headline, fill=INK, font=_font(14))
    for column, name in enumerate(names):
        draw.text((GAP + column * (THUMBNAIL_PX + GAP), GAP + LINE), name, fill=INK, font=_font(13))
    top = 2 * LINE + GAP
    for row, height in zip(rows, heights, strict=True):
        draw.text((GAP, top), row.caption, fill=INK, font=_font(12))
        for column, (name, picture) in enumerate(zip(columns, row.pictures, strict=True)):
            bright = np.minimum(picture.astype(np.uint16) * REMOVED_GAIN, 255).astype(np.uint8)
            shown = Image.fromarray(bright if name == REMOVED else picture)
            sheet.paste(shown, (GAP + column * (THUMBNAIL_PX + GAP), top + LINE))
        top += height
    # A PNG is for a look on this machine: soon written rather than small.
    sheet.save(path, optimize=path.suffix == ".jpg", compress_level=1)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
