"""Real pairs: a folder with ``input/`` and ``target/``, matched by file stem."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from degradations.sample_rng import SampleRNG
from training.data.manifest import list_images
from training.data.photos import Crop, read_photo


def match_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """(input, target) by stem, sorted. A file without its partner, or two of one stem, is an error that names it."""
    sides: dict[str, dict[str, Path]] = {"input": {}, "target": {}}
    for side, found in sides.items():
        for file in list_images(folder / side):
            if file.stem in found:
                raise ValueError(f"{folder / side} has two files of one stem: {found[file.stem].name}, {file.name}.")
            found[file.stem] = file
    lonely = sorted(set(sides["input"]) ^ set(sides["target"]))
    if lonely:
        raise FileNotFoundError(
            f"{folder} has files without a partner of the same name in input/ and target/: {', '.join(lonely[:5])}"
        )
    return [(sides["input"][stem], sides["target"][stem]) for stem in sorted(sides["input"])]


class PairStore:
    """Real pairs in memory; both sides get the same crop. A pair of different sizes is an error."""

    def __init__(self, pairs: list[tuple[Path, Path]], side: int) -> None:
        self.files = pairs
        self.pairs = [(read_photo(a, side), read_photo(b, side)) for a, b in pairs]
        for (a, b), (file, other) in zip(self.pairs, pairs, strict=True):
            if a.shape != b.shape:
                raise ValueError(f"{file} and {other} differ in size: real pairs must be aligned.")

    def __len__(self) -> int:
        return len(self.pairs)

    def draw(self, rng: SampleRNG, size: int, smallest: float) -> tuple[Tensor, Tensor]:
        """A random crop of a random pair: input and target, each 3 x size x size in [0, 1]."""
        a, b = self.pairs[rng.integer(len(self.pairs))]
        crop = Crop.draw(rng, a.shape[-2], a.shape[-1], smallest)
        return crop.take(a, size), crop.take(b, size)
