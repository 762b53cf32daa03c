"""Real pairs: a folder with ``input/`` and ``target/``, matched by file stem."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from natsort import natsorted
from torch import Tensor

from degradations.real_pairs import match_exposure
from degradations.sample_rng import SampleRNG
from training.data.manifest import DataError, list_images
from training.data.photos import WHOLE, Crop, read_photo


@dataclass(frozen=True)
class Pair:
    """Files of one stem: the photo, what it should have been, and where it is known its motion field."""

    stem: str
    input: Path
    target: Path
    motion: Path | None = None  # .npy, H x W x 2, px


def find_pairs(folder: Path) -> list[Pair]:
    """Match the pictures of ``folder/input`` and ``folder/target``, and ``folder/motion`` if there is one, by stem.

    Returns:
        The pairs in natural order ("2" before "10").

    Raises:
        DataError: A picture has no partner, or two have one stem; it is named.
    """
    sides: dict[str, dict[str, Path]] = {"input": {}, "target": {}}
    for side, found in sides.items():
        if not (folder / side).is_dir():
            raise DataError(f"{folder} holds no folder '{side}': pairs lie in input/ and target/.")
        for path in natsorted(list_images(folder / side), key=lambda path: path.stem):
            if path.stem in found:
                names = f"{found[path.stem].name}, {path.name}"
                raise DataError(f"{folder.name}/{side} holds two pictures of the stem {path.stem}: {names}.")
            found[path.stem] = path
    for side, other in (("input", "target"), ("target", "input")):
        if alone := natsorted(sides[side].keys() - sides[other].keys()):
            raise DataError(
                f"In {folder.name}, {len(alone)} of {side}/ have no partner in {other}/: "
                f"{', '.join(alone[:5])}{', …' if len(alone) > 5 else ''}. Add their partners or remove them."
            )
    known = (folder / "motion").is_dir()
    motions = {stem: folder / "motion" / f"{stem}.npy" if known else None for stem in sides["input"]}
    if lacking := [stem for stem, path in motions.items() if path and not path.is_file()]:
        raise DataError(
            f"In {folder.name}, motion/ lacks the field of {len(lacking)} of the pairs, first {lacking[0]}.npy: "
            "add them, or remove motion/."
        )
    return [Pair(stem, path, sides["target"][stem], motions[stem]) for stem, path in sides["input"].items()]


class PairStore:
    """Real pairs in memory, 3 x H x W uint8, their shorter side at most ``side`` px; DataError where sizes differ."""

    def __init__(self, pairs: Sequence[Pair], side: int) -> None:
        self.pairs = [(read_photo(pair.input, side), read_photo(pair.target, side)) for pair in pairs]
        for (a, b), pair in zip(self.pairs, pairs, strict=True):
            if a.shape != b.shape:
                raise DataError(f"{pair.input} and {pair.target} differ in size: real pairs must be aligned.")

    def draw(self, rng: SampleRNG, size: int, smallest: float) -> tuple[Tensor, Tensor]:
        """Draw a crop of a pair: input and target, each 3 x size x size in [0, 1]."""
        a, b = self.pairs[rng.integer(len(self.pairs))]
        crop = Crop.draw(rng, a.shape[-2], a.shape[-1], smallest)
        return crop.take(a, size), crop.take(b, size)

    def squares(self, size: int) -> list[tuple[Tensor, Tensor]]:
        """Return every pair, whole, each picture 3 x size x size in [0, 1]."""
        return [(WHOLE.take(a, size), WHOLE.take(b, size)) for a, b in self.pairs]

    def exposed(self, size: int | None = None) -> list[tuple[Tensor, Tensor]]:
        """Return every pair, 3 x H x W in [0, 1], as squares of ``size`` if given, with the photo's exposure."""
        shots = self.squares(size) if size else [(a.float() / 255, b.float() / 255) for a, b in self.pairs]
        return [(photo, match_exposure(target, photo)) for photo, target in shots]
