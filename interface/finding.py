"""Finding of photos by files, folders and patterns, and the names of their results beside those of earlier runs."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from plugins.host.container import kind_of
from plugins.host.pictures import stem

PHOTO_NAME = re.compile(
    r".*\.(jpe?g|jpe|jfif|png|webp|gif|avif|bmp|tiff?|hei[cf]|hif|jp2|j2k|p[bgpn]m"
    r"|dng|nef|nrw|cr[23w]|arw|sr[2fw]|raf|orf|rw[2l]|pef|x3f|mrw|3fr|iiq|erf)",
    re.IGNORECASE | re.DOTALL,
)
"""Names by which photos are recognised in a folder; files of other names are looked into."""
_WEAK_KINDS = ("", "bmp", "ppm")  # begin with two letters, as a text may


def find_photos(names: Iterable[str]) -> list[Path]:
    """Return the photos named by files, folders and glob patterns, each once, under its first name.

    A name that is none of these is kept, so that it is reported as missing.
    """
    found: dict[str, Path] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            paths = sorted(child for child in path.iterdir() if is_photo(child))
        elif not path.exists() and glob.has_magic(name):
            paths = [Path(match) for match in sorted(glob.glob(name, recursive=True)) if is_photo(Path(match))]
        else:
            paths = [] if path.name.startswith("._") and path.is_file() else [path]
        for one in paths:
            found.setdefault(source_of(one), one)
    return list(found.values())


def is_photo(path: Path) -> bool:
    """Return whether a file is to be restored where its folder or a pattern is named: by its suffix or its content.

    The companions "._…" that macOS writes are not, whatever their suffix.
    """
    if path.name.startswith("._") or not path.is_file():
        return False
    try:
        return PHOTO_NAME.fullmatch(path.name) is not None or kind_of(path) not in _WEAK_KINDS
    except OSError:
        return False


def source_of(photo: Path) -> str:
    """Return the one path of a photo, whatever its spelling and links, as records have it."""
    return os.path.realpath(photo)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a result, or None if there is none or it is of another program."""
    try:
        record = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "file" in record else None


def records_in(out: Path) -> dict[str, dict[str, Any]]:
    """Return the records of results in a folder, by the names of their files without "-restored.json"."""
    ending = "-restored.json"
    return {path.name.removesuffix(ending): found for path in out.glob("*" + ending) if (found := read_record(path))}


def result_names(photos: Sequence[Path], records: dict[str, dict[str, Any]]) -> list[str]:
    """Return the name of each photo's result, without "-restored" and suffix: the photo's own, numbered if it is taken.

    A photo of an earlier run keeps the name that its record has.
    """
    known = {record.get("source"): name for name, record in records.items()}
    taken = {name.lower() for name in records}
    names = []
    for photo in photos:
        name = known.get(source_of(photo))
        if name is None:
            name = next_name(stem(photo), taken)
            taken.add(name.lower())
        names.append(name)
    return names


def next_name(name: str, taken: Iterable[str]) -> str:
    """Return a name, or the first of "name-2", "name-3" and so on that is not among the (lower-case) names taken."""
    number, free = 1, name
    while free.lower() in taken:
        number += 1
        free = f"{name}-{number}"
    return free
