"""The list of a checkpoint's files, by which a cut, missing or altered one is found before anything is loaded."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

LISTING = "files.json"


def list_files(folder: Path, processes: int) -> None:
    """Write the size and CRC-32 of every file of a checkpoint, and the number of processes it is of."""
    files = {
        str(p.relative_to(folder)): [p.stat().st_size, checksum(p)] for p in sorted(folder.rglob("*")) if p.is_file()
    }
    (folder / LISTING).write_text(json.dumps({"processes": processes, "files": files}, indent=1) + "\n")


def checksum(file: Path) -> int:
    """Return the CRC-32 of a file."""
    value = 0
    with file.open("rb") as content:
        while piece := content.read(1 << 22):
            value = zlib.crc32(piece, value)
    return value


def find_damage(folder: Path) -> str:
    """Return what is wrong with a checkpoint's files, in words; "" where nothing is."""
    try:
        listed = json.loads((folder / LISTING).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"{LISTING} cannot be read ({type(error).__name__})"
    for name, (size, crc) in listed.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes of {size}"
        if checksum(file) != crc:
            return f"{name} is not what was written"
    return ""
