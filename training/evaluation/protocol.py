"""How pictures are scored: sizes, shifts, borders; and which pictures show one scene."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.errors import LimpidError
from training.data.pairs import Pair
from training.data.photos import read_picture
from training.evaluation.metrics import SSIM_WINDOW, Scores, score

SCENE_PATTERN = r"^(\d+)_"  # SIR2: the number before the first underscore; other stems are their own scene


class EvaluationError(LimpidError):
    """The data or the arguments cannot be evaluated; the message says what to change."""


@dataclass(frozen=True)
class Protocol:
    """A way of scoring, printed with every number.

    ``shorter_side`` resizes both pictures of a pair first. ``border`` pixels a side of the target are left out, and
    the picture is compared where it fits the rest best, up to ``shift`` pixels off each way (at most ``border``): a
    kernel estimated blindly has no position of its own.
    """

    name: str
    shorter_side: int | None = None
    shift: int = 0
    border: int = 0

    def load(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Read input and target, uint8 H x W x 3; EvaluationError for two sizes, unless the protocol resizes."""
        photo, target = self._fit(read_picture(pair.input)), self._fit(read_picture(pair.target))
        if photo.shape != target.shape and self.shorter_side is not None:
            target = resize(target, photo.shape[1], photo.shape[0])
        if photo.shape != target.shape:
            raise EvaluationError(
                f"The pair {pair.stem} has an input of {photo.shape[1]} x {photo.shape[0]} and a target of "
                f"{target.shape[1]} x {target.shape[0]} pixels: {self.name} needs one size."
            )
        return photo, target

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        if self.shorter_side is None:
            return picture
        height, width = picture.shape[:2]
        scale = self.shorter_side / min(height, width)
        return resize(picture, round(width * scale), round(height * scale))

    def score(self, picture: np.ndarray, target: np.ndarray) -> Scores:
        """Score one picture, uint8 H x W x 3 like its target, all measures at the same shift."""
        return score(*self.compared(picture, target))

    def compared(self, picture: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut out the parts of both that are scored: one size, at the shift of the least squared error.

        Raises EvaluationError where the border leaves less than SSIM's window.
        """
        if not self.border:
            return picture, target
        height, width = target.shape[0] - 2 * self.border, target.shape[1] - 2 * self.border
        if min(height, width) < SSIM_WINDOW:
            raise EvaluationError(
                f"{self.name} leaves out {self.border} px a side, which leaves too little of a picture of "
                f"{target.shape[1]} x {target.shape[0]} px: its sides must be at least "
                f"{2 * self.border + SSIM_WINDOW} px."
            )
        kept = target[self.border : self.border + height, self.border : self.border + width]
        offsets = range(self.border - self.shift, self.border + self.shift + 1)
        parts = [picture[top : top + height, left : left + width] for top in offsets for left in offsets]
        errors = [float(np.square(np.subtract(part, kept, dtype=np.float32)).sum(dtype=np.float64)) for part in parts]
        return parts[int(np.argmin(errors))], kept


NATIVE = "limpid-8bit-native"  # the protocol of docs/evaluation.md
PROTOCOLS = {
    NATIVE: Protocol(NATIVE),
    "real20-420": Protocol("real20-420", shorter_side=420),
    # Levin et al., "Understanding and evaluating blind deconvolution algorithms" (CVPR 2009): 255 px captures.
    "levin09": Protocol("levin09", shift=5, border=15),
}


def as_float(photo: np.ndarray) -> np.ndarray:
    """Convert uint8 to float32 in [0, 1], as pipelines take it."""
    return photo.astype(np.float32) / np.float32(255)


def to_8bit(picture: np.ndarray) -> np.ndarray:
    """Convert float in [0, 1] to uint8, rounded (truncating would darken every picture by half a level)."""
    return np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)


def resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize a uint8 picture, bicubic with antialiasing (Pillow's)."""
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def flat_name(path: Path, folder: Path) -> str:
    """Turn ``kodak24/kodim01.png`` into ``kodak24-kodim01``: one flat name for each file of a tree."""
    return "-".join(path.relative_to(folder).with_suffix("").parts)


def scene_of(stem: str, pattern: str = SCENE_PATTERN) -> str:
    """Return the scene of a stem: the pattern's first group (or whole match); the stem itself without a match."""
    match = re.search(pattern, stem)
    return match[1 if match.re.groups else 0] if match else stem


def subsample(items: Sequence, limit: int | None) -> list:
    """Take at most ``limit`` items at equal distances, so that a short run sees every scene; None takes all."""
    if limit is None or limit >= len(items):
        return list(items)
    if limit < 1:
        raise EvaluationError(f"--limit is {limit}: give at least 1.")
    return [items[index * len(items) // limit] for index in range(limit)]
