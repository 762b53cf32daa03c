"""A picture of a photo's blur: lines for motion, rings for defocus, over the lightened photo."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw

MARKS_ACROSS = 24  # marks along the longer side
CANVAS_PX = 2048  # longer side of the drawing, whatever the photo's
MIN_DRAWN_BLUR_PX = 6.0  # pixels; where all blur is less, it is not drawn as if it were that much
KERNEL_INSET_DIVISOR = 5  # the kernel's side is a fifth of the shorter side


def draw_blur(photo: np.ndarray, cells: np.ndarray, kernel: np.ndarray | None = None) -> np.ndarray:
    """Draw the blur of a photo, H x W x 3 float32 in [0, 1]; returns the same kind.

    ``cells`` and ``kernel`` are as in `DeblurOutput`; the kernel is drawn white on black in the lower left corner. A
    line has a motion's direction, which its colour shows too (horizontal is red, vertical cyan); a white ring is a
    defocus; a dot is no blur. All are magnified by one factor, by which the longest about fill the space between marks.
    """
    height, width = photo.shape[:2]
    scale = CANVAS_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    marks = _marks(cells)
    longest = max(float(np.percentile(np.maximum(marks[:, 2], 2 * marks[:, 4]), 95)), MIN_DRAWN_BLUR_PX)
    magnify = 0.95 * CANVAS_PX / MARKS_ACROSS / longest
    ink = Image.new("RGBA", size)
    pen = ImageDraw.Draw(ink)
    for stroke, rim in ((13, True), (7, False)):  # a dark rim, so that it shows on any photo
        dot = stroke / 2
        for x, y, length, angle, radius in marks:
            hue = colorsys.hsv_to_rgb(angle / np.pi % 1, 0.75 if length > radius else 0.0, 1.0)
            colour = (0, 0, 0, 255) if rim else (*(round(255 * c) for c in hue), 255)
            x, y, length, radius = x * size[0], y * size[1], length * magnify, radius * magnify
            dx, dy = length * np.cos(angle) / 2, length * np.sin(angle) / 2
            pen.line((x - dx, y - dy, x + dx, y + dy), fill=colour, width=stroke)
            pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=colour)
            if radius > stroke:
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=stroke // 2)
    drawn = np.asarray(ink.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    pale = 0.45 + 0.5 * (0.3 * photo + 0.7 * photo.mean(2, keepdims=True))
    result: np.ndarray = pale * (1 - drawn[..., 3:]) + drawn[..., :3] * drawn[..., 3:]
    if kernel is not None and min(height, width) >= 2 * KERNEL_INSET_DIVISOR:
        side = min(height, width) // KERNEL_INSET_DIVISOR
        shown = Image.fromarray(np.sqrt(kernel / max(float(kernel.max()), 1e-12)).astype(np.float32))
        result[-side:, :side] = np.asarray(shown.resize((side, side), Image.Resampling.BOX))[..., None]
    return result.astype(np.float32)


def _marks(cells: np.ndarray) -> np.ndarray:
    """Return the mean blur around each mark, N x 5: x and y as shares of the sides, length, angle, radius."""
    rows, columns = cells.shape[:2]
    step = max(1, round(max(rows, columns) / MARKS_ACROSS))
    marks = []
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            block = cells[top : top + step, left : left + step]
            c, s, radius = (float(value) for value in block.mean((0, 1)))
            y, x = (top + block.shape[0] / 2) / rows, (left + block.shape[1] / 2) / columns
            marks.append((x, y, np.hypot(c, s), np.arctan2(s, c) / 2, max(radius, 0.0)))
    return np.array(marks)
