"""Which files a run was trained on, and one hash over all of them for its record."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from models.errors import LimpidError

HEIF_SUFFIXES = {".heic", ".heif"}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", *HEIF_SUFFIXES}


class DataError(LimpidError):
    """Photos or pairs that cannot be used; the message says what to change."""


def list_images(folder: Path) -> list[Path]:
    """List every picture below ``folder``, sorted by path; DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: give one that holds pictures.")
    if not (files := sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())):
        raise DataError(f"The folder {folder} holds no picture ({', '.join(sorted(SUFFIXES))}).")
    return files


def manifest_hash(files: Iterable[Path], root: Path) -> str:
    """Return the SHA-256 over the sorted list of (path relative to ``root``, SHA-256 of the content)."""
    total = hashlib.sha256()
    for name, file in sorted((f.relative_to(root).as_posix() if f.is_relative_to(root) else f.name, f) for f in files):
        total.update(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n".encode())
    return total.hexdigest()
