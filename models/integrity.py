"""Checks of a model's files: SHA-256 as on record (SHA256SUMS), and safe to load (safetensors only)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from safetensors import SafetensorError, safe_open

from models.errors import ModelError

SUMS = "SHA256SUMS"
# Formats that can run code when loaded.
UNSAFE_SUFFIXES = frozenset({".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
CONFIGS = frozenset({"config.json", "model_index.json", "pipeline.json"})
INDEX = ".safetensors.index.json"  # end of the name of the file that maps weights to shards
_hashes: dict[tuple[int, ...], str] = {}  # by a file's identity, so that a renamed or linked file is not read again


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, lower-case hex; cached until its size or modification time changes."""
    stat = path.stat()
    key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if key not in _hashes:
        with path.open("rb") as file:
            _hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _hashes[key]


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative path with forward slashes, path) of every file below ``folder``, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def must_be_listed(relative: str) -> bool:
    """Return True for what a pipeline loads: weights and configurations."""
    path = PurePosixPath(relative)
    return path.suffix == ".safetensors" or path.name in CONFIGS


def digest(sums: Mapping[str, str]) -> str:
    """Return a revision for a model without a commit: "sha256:" and 12 digits over the hashes of its files."""
    text = "".join(name + sums[name] for name in sorted(sums))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def fingerprint(folder: Path) -> str:
    """Return the `digest` of what a pipeline loads from ``folder``."""
    if (folder / SUMS).is_file():
        return digest(read_sums(folder / SUMS))
    return digest({name: sha256(path) for name, path in files_in(folder) if must_be_listed(name)})


def read_sums(file: Path) -> dict[str, str]:
    """Read a SHA256SUMS file: relative path -> hash. Raises ModelError for a malformed line or a path outside."""
    sums = {}
    for line in filter(str.strip, file.read_text(encoding="utf-8").splitlines()):
        found, _, name = line.strip().partition(" ")
        path = PurePosixPath(name.lstrip(" *"))
        if len(found) != 64 or not path.name or path.is_absolute() or ".." in path.parts:
            raise ModelError(f"{file} has a line that is no '<sha256>  <relative path>': {line[:80]!r}.")
        sums[str(path)] = found.lower()
    return sums


def write_sums(folder: Path, everything: bool = False) -> Path:
    """Write ``folder``/SHA256SUMS over what a pipeline loads from it (or ``everything``); returns its path."""
    lines = [
        f"{sha256(path)}  {name}\n"
        for name, path in files_in(folder)
        if name != SUMS and (everything or must_be_listed(name) or name.endswith(INDEX))
    ]
    target = folder / SUMS
    partial = target.with_name(SUMS + ".partial")
    partial.write_text("".join(lines), encoding="utf-8", newline="\n")
    os.replace(partial, target)
    return target


def find_alteration(folder: Path, expected: Mapping[str, str]) -> str | None:
    """Return what differs from the record ("… is missing"), or None: all of ``expected``, and no other file to load."""
    for name, wanted in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256(path) != wanted.lower():
            return f"{name} does not match its recorded SHA-256"
    odd = next((name for name, _ in files_in(folder) if must_be_listed(name) and name not in expected), None)
    return f"{odd} is not on record" if odd else None


def refuse_unsafe(folder: Path) -> None:
    """Raise ModelError for a file that could run code on loading, or is no safetensors in spite of its name."""
    for name, path in files_in(folder):
        if path.suffix.lower() in UNSAFE_SUFFIXES:
            cure = "Limpid takes safetensors only: convert it and remove that file"
            raise ModelError(f"{name} can run code when it is loaded, so the model is refused. {cure}.")
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="numpy"):  # reads the header
                    pass
            except SafetensorError as error:
                with path.open("rb") as file:
                    if file.read(24) == b"version https://git-lfs.":
                        raise ModelError(f"{name} is only a Git LFS pointer: run `git lfs pull`.") from error
                raise ModelError(f"{name} is not a safetensors file: fetch or export the model again.") from error
