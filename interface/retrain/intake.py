"""Taking in of photos to train on: pictures and zips of them, and real pairs."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image

from interface.finding import next_name
from models.errors import LimpidError

FEWEST = 8
"""Photos with which training can start: some of them are held out."""
MOST_BYTES = 4_000_000_000
MOST_FILES = 20_000
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".heic", ".heif"}
"""Those that training reads."""
SIDES = ("input", "target")


@dataclass
class Taken:
    """What was taken in: how many photos and pairs, and what was left out, with the reason."""

    photos: int = 0
    pairs: int = 0
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.photos} photos" + (f" and {self.pairs} pairs" if self.pairs else "")]
        if self.left_out:
            shown = ", ".join(self.left_out[:5]) + (", …" if len(self.left_out) > 5 else "")
            parts.append(f"{len(self.left_out)} files left out: {shown}")
        return "; ".join(parts) + "."


def take_in(files: Iterable[str | Path], folder: Path) -> Taken:
    """Replace ``folder/photos`` and ``folder/pairs`` by pictures from files and zips.

    In a zip, what lies in folders called input and target are pairs, of the same names. Raises LimpidError if there are
    too few photos, or a zip is damaged or too large; what was there before is then left.
    """
    taken, fresh = Taken(), folder / ".taking-in"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for part in ("photos", *(f"pairs/{side}" for side in SIDES)):
            (fresh / part).mkdir(parents=True)
        for file in map(Path, files):
            if zipfile.is_zipfile(file):
                _unpack(file, fresh, taken)
            else:
                _keep(file, file.name, fresh / "photos", taken)
        _match_pairs(fresh / "pairs", taken)
        taken.photos = len(list((fresh / "photos").iterdir()))
        if taken.photos < FEWEST:
            raise LimpidError(f"Training needs at least {FEWEST} photos, and these are {taken}")
        for part in ("photos", "pairs"):
            shutil.rmtree(folder / part, ignore_errors=True)
            if part == "photos" or taken.pairs:
                (fresh / part).rename(folder / part)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return taken


def _unpack(packed: Path, fresh: Path, taken: Taken) -> None:
    try:
        with zipfile.ZipFile(packed) as whole:
            members = list(_pictures_in(whole, packed.name))
            for member, path in members:
                side = path.parent.name.lower()
                target = fresh / "pairs" / side if side in SIDES else fresh / "photos"
                unpacked = fresh / f"member{path.suffix.lower()}"
                with whole.open(member) as source, unpacked.open("wb") as out:
                    shutil.copyfileobj(source, out)
                _keep(unpacked, path.name, target, taken, numbered=side not in SIDES)
                unpacked.unlink(missing_ok=True)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise LimpidError(f"The zip {packed.name} cannot be read ({error}): pack the photos anew.") from error


def _pictures_in(whole: zipfile.ZipFile, name: str) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Yield the pictures of a zip; their paths only tell what they are, and never where they are written."""
    infos = [info for info in whole.infolist() if not info.is_dir()]
    if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > MOST_BYTES:
        raise LimpidError(f"The zip {name} unpacks to more than {MOST_FILES} files or {MOST_BYTES // 10**9} GB.")
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if not (path.name.startswith(".") or "__MACOSX" in path.parts):
            yield info, path


def _keep(file: Path, name: str, target: Path, taken: Taken, numbered: bool = True) -> None:
    """Copy a picture that can be read; another is noted."""
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES or not _readable(file, suffix):
        taken.left_out.append(name)
        return
    used = {path.stem.lower() for path in target.iterdir()} if numbered else set()
    shutil.copyfile(file, target / (next_name(Path(name).stem, used) + suffix))


def _readable(file: Path, suffix: str) -> bool:
    try:
        if suffix in (".heic", ".heif"):
            import pillow_heif

            return bool(pillow_heif.is_supported(file))
        with Image.open(file) as picture:
            picture.verify()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def _match_pairs(pairs: Path, taken: Taken) -> None:
    """Count the pairs; pictures without a partner are left out."""
    sides = [{path.stem: path for path in (pairs / side).iterdir()} for side in SIDES]
    for mine, others in (sides, sides[::-1]):
        for stem in mine.keys() - others.keys():
            taken.left_out.append(f"{mine[stem].name} (no partner)")
            mine[stem].unlink()
    taken.pairs = len(sides[0].keys() & sides[1].keys())
