"""The mask: uploaded or drawn on the photo. White is restored, black left exactly as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from interface.cache import cache_folder, new_folder
from interface.controls import QUIET_EVENT, PhotoInput
from interface.result_view import seen_size, upright

CANVAS_SIDE_PX = 800
"""Longest side of the picture to draw on."""
PAINT_COLOUR = "rgba(60, 182, 191, 0.75)"


def control(photo: PhotoInput, part: gr.Accordion) -> PhotoInput:
    """Make the canvas and the mask input inside of `part`; return the mask input, which endpoints take."""
    opened = gr.State(False)
    canvas = gr.ImageEditor(
        label="Paint over what should be restored",
        type="pil",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(colors=[PAINT_COLOUR], default_color=PAINT_COLOUR, color_mode="fixed"),
        eraser=gr.Eraser(),
        height=440,
        buttons=[],
        elem_classes="canvas",
        canvas_size=(CANVAS_SIDE_PX, CANVAS_SIDE_PX * 3 // 4),
    )
    area = PhotoInput(
        label="Mask (white is restored; drawn above, or your own)",
        sources=["upload", "clipboard"],
        height=190,
        buttons=[],
        elem_classes="mask",
    )
    part.expand(lambda path: (canvas_for(path), True), photo, [canvas, opened], queue=False, **QUIET_EVENT)
    part.collapse(lambda: False, None, opened, queue=False, **QUIET_EVENT)
    photo.change(
        lambda path, is_open: (canvas_for(path if is_open else None), None),
        [photo, opened],
        [canvas, area],
        queue=False,
        **QUIET_EVENT,
    )
    canvas.change(drawn, [canvas, photo, area], area, trigger_mode="always_last", queue=False, **QUIET_EVENT)
    return area


def canvas_for(photo: str | None) -> dict[str, Any] | None:
    """Return the editor's value for a photo, upright and shrunk; None without a readable photo."""
    picture = upright(photo, CANVAS_SIDE_PX)
    return None if picture is None else {"background": picture, "layers": [], "composite": picture}


def drawn(value: dict[str, Any] | None, photo: str | None, mask: str | None) -> Any:
    """Return the path of a mask of the photo's size, white where it was painted.

    If nothing is painted, return None for a drawn ``mask``, and leave an uploaded one as it is.
    """
    layers = [np.asarray(layer.convert("RGBA"))[..., 3] for layer in (value or {}).get("layers") or []]
    painted = np.max(layers, axis=0) > 8 if layers else np.zeros((1, 1), bool)
    if not painted.any():
        return None if mask and Path(mask).is_relative_to(cache_folder()) else gr.skip()
    picture = Image.fromarray((painted * 255).astype(np.uint8))
    if photo:
        size = seen_size(photo)
        picture = picture.resize((size.width, size.height), Image.Resampling.BILINEAR)
    path = new_folder("masks") / "mask.png"
    picture.save(path)
    return str(path)
