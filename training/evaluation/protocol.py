"""What is scored: folders of pictures or of pairs, their sizes, and which pictures show one scene."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from models.errors import LimpidError
from training.data.manifest import HEIF_SUFFIXES, SUFFIXES
from training.evaluation.metrics import SSIM_WINDOW, Scores, score

PICTURE_SUFFIXES = SUFFIXES - HEIF_SUFFIXES  # what Pillow opens by itself
SCENE_PATTERN = r"^(\d+)_"  # SIR2: the number before the first underscore; other stems are their own scene


class EvaluationError(LimpidError):
    """The data or the arguments cannot be evaluated; the message says what to change."""


@dataclass(frozen=True)
class Protocol:
    """A way of scoring, printed with every number.

    ``shorter_side`` resizes both pictures of a pair first. ``border`` pixels a side of the target are left out, and
    the picture is compared where it fits the rest best, up to ``shift`` pixels off each way: a kernel estimated blindly
    has no position of its own. What is shifted in comes from the picture, so ``shift`` is at most ``border``.
    """

    name: str
    shorter_side: int | None = None
    shift: int = 0
    border: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= self.border:
            raise ValueError(
                f"The protocol {self.name} shifts by {self.shift} px, more than its border: {self.border}."
            )

    def fit(self, picture: np.ndarray) -> np.ndarray:
        """uint8 H x W x 3, resized (bicubic) when the protocol says so."""
        if self.shorter_side is None:
            return picture
        height, width = picture.shape[:2]
        scale = self.shorter_side / min(height, width)
        return resize(picture, round(width * scale), round(height * scale))

    def score(self, picture: np.ndarray, target: np.ndarray) -> Scores:
        """The scores of one picture, uint8 H x W x 3 like its target, all at the same shift."""
        return score(*self.compared(picture, target))

    def compared(self, picture: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The parts of both that are scored: one size, at the shift of the least squared error (the best PSNR).

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
_ALL = (
    Protocol(NATIVE),
    Protocol("real20-420", shorter_side=420),
    # Levin et al., "Understanding and evaluating blind deconvolution algorithms" (CVPR 2009): 255 px captures.
    Protocol("levin09", shift=5, border=15),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}


@dataclass(frozen=True)
class Pair:
    """Files of one stem: the photo, what it should have been, and where it is known (``motion/``) its motion field."""

    stem: str
    input: Path
    target: Path
    motion: Path | None = None  # .npy, H x W x 2, px

    def load(self, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
        """Input and target, uint8 H x W x 3, one size. Two sizes are an error unless the protocol resizes."""
        photo, target = protocol.fit(read_picture(self.input)), protocol.fit(read_picture(self.target))
        if photo.shape != target.shape and protocol.shorter_side is not None:
            target = resize(target, photo.shape[1], photo.shape[0])
        if photo.shape != target.shape:
            raise EvaluationError(
                f"The pair {self.stem} has an input of {photo.shape[1]} x {photo.shape[0]} and a target of "
                f"{target.shape[1]} x {target.shape[0]} pixels: {protocol.name} needs one size."
            )
        return photo, target


def read_picture(path: Path) -> np.ndarray:
    """An upright 8-bit RGB picture, H x W x 3."""
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except OSError as error:
        raise EvaluationError(f"{path.name} cannot be read as a picture: {error}.") from error


def as_float(photo: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in [0, 1], as pipelines take it."""
    return photo.astype(np.float32) / np.float32(255)


def to_8bit(picture: np.ndarray) -> np.ndarray:
    """Convert float in [0, 1] to uint8, rounded (truncating would darken every picture by half a level)."""
    return np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)


def resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8, bicubic with antialiasing (Pillow's)."""
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below a folder, in order. Raises EvaluationError when there is none."""
    if not folder.is_dir():
        raise EvaluationError(f"There is no folder {folder}: give one that holds pictures.")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
    if not found:
        known = ", ".join(sorted(PICTURE_SUFFIXES))
        raise EvaluationError(f"The folder {folder} holds no picture ({known}).")
    return found


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of ``folder/input`` and ``folder/target``, matched by file stem, in natural order.

    A picture without its partner, or two of one stem, is an error that names it: sorted positions or a silent
    intersection would score the wrong thing.
    """
    sides = {}
    for side in ("input", "target"):
        if not (folder / side).is_dir():
            raise EvaluationError(f"{folder} holds no folder '{side}': pairs lie in input/ and target/.")
        sides[side] = _by_stem(find_pictures(folder / side), f"{folder.name}/{side}")
    for side, other in (("input", "target"), ("target", "input")):
        alone = sorted(set(sides[side]) - set(sides[other]), key=_natural)
        if alone:
            raise EvaluationError(
                f"In {folder.name}, {len(alone)} of {side}/ have no partner in {other}/: "
                f"{', '.join(alone[:5])}{', …' if len(alone) > 5 else ''}. Add their partners or remove them."
            )
    motions = {stem: folder / "motion" / f"{stem}.npy" for stem in sides["input"]}
    if not (folder / "motion").is_dir():
        motions = {}
    if lacking := [stem for stem, path in motions.items() if not path.is_file()]:
        raise EvaluationError(
            f"In {folder.name}, motion/ lacks the field of {len(lacking)} of the pairs, first {lacking[0]}.npy: "
            "add them, or remove motion/."
        )
    return [Pair(stem, path, sides["target"][stem], motions.get(stem)) for stem, path in sides["input"].items()]


def flat_name(path: Path, folder: Path) -> str:
    """``kodak24/kodim01.png`` -> ``kodak24-kodim01``: one flat name for each file of a tree."""
    return "-".join(path.relative_to(folder).with_suffix("").parts)


def scene_of(stem: str, pattern: str = SCENE_PATTERN) -> str:
    """The scene of a stem: the pattern's first group (or whole match); the stem itself without a match."""
    match = re.search(pattern, stem)
    if match is None:
        return stem
    return match.group(1) if match.re.groups else match.group(0)


def subsample(items: Sequence, limit: int | None) -> list:
    """Take at most ``limit`` items at equal distances, so that a short run sees every scene; None takes all."""
    if limit is None or limit >= len(items):
        return list(items)
    if limit < 1:
        raise EvaluationError(f"--limit is {limit}: give at least 1.")
    return [items[index * len(items) // limit] for index in range(limit)]


def _by_stem(paths: list[Path], where: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda p: _natural(p.stem)):
        if path.stem in found:
            raise EvaluationError(
                f"{where} holds two pictures of the stem {path.stem}: {found[path.stem].name}, {path.name}."
            )
        found[path.stem] = path
    return found


def _natural(stem: str) -> tuple[tuple[int, int | str], ...]:
    parts = (part for part in re.split(r"(\d+)", stem) if part)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)
