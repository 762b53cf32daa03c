"""Which files a run was trained on, and one hash over all of them for its record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

HEIF_SUFFIXES = {".heic", ".heif"}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", *HEIF_SUFFIXES}


def list_images(folder: Path) -> list[Path]:
    """Every image below ``folder``, sorted by path; a missing folder or one without images is an error."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: give one that holds photos.")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"The folder {folder} holds no photo ({', '.join(sorted(SUFFIXES))}).")
    return files


def manifest_hash(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over the sorted list of (path relative to ``root``, SHA-256 of the content)."""
    total = hashlib.sha256()
    for name, file in sorted((_relative(f, root), f) for f in files):
        total.update(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n".encode())
    return total.hexdigest()


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
