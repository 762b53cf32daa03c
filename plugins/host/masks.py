"""Reading of masks, which say what part of a photo to restore."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from plugins.host.decode import PictureError, decode

DARK = 0.1
"""A mask that is nowhere brighter is noted: programs often write 1 for what is to be white."""


def read_mask(path: str | Path, width: int, height: int, notes: list[str]) -> np.ndarray:
    """Read a mask as float32 H x W in [0, 1]: white 1, black or transparent 0. Another size is scaled, with a note.

    Raises PictureError.
    """
    if not Path(path).is_file():
        raise PictureError("The mask is not a file that can be read: give a picture, white where to restore.")
    decoded = decode(path, f"The mask '{Path(path).name}'")
    top = np.float32(np.iinfo(decoded.samples.dtype).max)
    mask = decoded.samples.mean(axis=2, dtype=np.float32) / top
    if decoded.alpha is not None:
        mask *= decoded.alpha / top
    if mask.shape != (height, width):
        notes.append(
            f"The mask is {mask.shape[1]} x {mask.shape[0]} pixels and the photo {width} x {height}; it was scaled."
        )
        mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.BILINEAR))
    if not mask.any():
        notes.append("The mask is black everywhere, so nothing was changed.")
    elif mask.max() < DARK:
        most = round(float(mask.max()) * 255)
        notes.append(f"The mask is nearly black (at most {most} of 255), so next to nothing was changed: use white.")
    return np.clip(mask, 0.0, 1.0).astype(np.float32)
