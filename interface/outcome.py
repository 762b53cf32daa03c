"""What the editor is told of a finished run: files, how much changed, and the removed layers, brightened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from interface import api

LITTLE_PSNR_DB = 40.0
"""Change from which on a run is said to have found something: 40 dB is a root mean square of 2.5 levels of 255."""
LITTLE_BLOCK = 12.0
"""Mean change of a block of 16 x 16 pixels, in levels, that is told in any case: a small reflection is something."""
BLOCK_PX = 8  # of halved pictures
BRIGHTEST = 20.0
"""Most that a dark layer is brightened."""
LAYER_SIDE_PX = 1600


def page_outcome(restored: api.Restored) -> dict[str, Any]:
    """Return the outcome of a run as JSON for the editor; writes the pictures of layers beside them."""
    file, record, layers, previews = restored
    before, after = previews or (None, None)
    return {
        "file": file,
        "name": Path(file).name,
        "bytes": Path(file).stat().st_size,
        "record": record,
        "before": before,
        "after": after,
        "little": bool(before and after and little_changed(before, after)),
        "layers": [layer_outcome(path, label) for path, label in layers],
    }


def little_changed(before: str, after: str) -> bool:
    """Return whether two previews of a run differ so little that nobody would see it."""
    change = np.abs(_halved(_levels(before) - _levels(after)))  # by halves, to average the noise of JPEG
    if 10 * np.log10(255**2 / max(float(np.mean(change**2)), 1e-9)) < LITTLE_PSNR_DB:
        return False
    rows, columns = (side // BLOCK_PX * BLOCK_PX for side in change.shape[:2])
    if not rows or not columns:
        return True
    blocks = change[:rows, :columns].mean(axis=2).reshape(rows // BLOCK_PX, BLOCK_PX, columns // BLOCK_PX, BLOCK_PX)
    return float(blocks.mean(axis=(1, 3)).max()) < LITTLE_BLOCK


def _halved(picture: np.ndarray) -> np.ndarray:
    """Return H x W x 3 at half the size, where it is larger than a pixel."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    if not height or not width:
        return picture
    even = picture[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def layer_outcome(path: str, label: str) -> dict[str, Any]:
    """Return a layer with the picture that shows it, as JPEG, and the factor by which that one is brightened."""
    pixels = _levels(path, LAYER_SIDE_PX)
    brightest = float(np.quantile(pixels[::4, ::4], 0.995))
    factor = min(BRIGHTEST, round(230 / max(brightest, 1.0), 1)) if brightest < 115 else 1.0
    shown = Path(path).with_suffix(".shown.jpg")
    Image.fromarray(np.clip(pixels * factor, 0, 255).round().astype(np.uint8)).save(shown, quality=88)
    return {"file": path, "name": Path(path).name, "label": label, "shown": str(shown), "factor": factor}


def _levels(path: str, longest: int | None = None) -> np.ndarray:
    """Read a picture as float32 H x W x 3, 0 to 255, at most ``longest`` px a side."""
    with Image.open(path) as picture:
        shown = picture.convert("RGB")
    if longest:
        shown.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    return np.asarray(shown, np.float32)
