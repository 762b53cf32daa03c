"""Checks of a model's files: SHA-256 as on record (SHA256SUMS), and safe to load (safetensors only)."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

from models.errors import ModelError

SUMS = "SHA256SUMS"
# Formats that can run code when loaded.
UNSAFE_SUFFIXES = frozenset({".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
CONFIGS = frozenset({"config.json", "model_index.json", "pipeline.json"})
INDEX = ".safetensors.index.json"  # end of the name of the file that says which shard holds what


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, lower-case hex; cached until its size or modification time changes."""
    stat = path.stat()
    return _sha256(_Key(path, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)))


class _Key:
    """Cache key that compares by file identity, so that a renamed or hard-linked file is not read again."""

    def __init__(self, path: Path, identity: tuple[int, ...]) -> None:
        self.path, self.identity = path, identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.identity == other.identity


@lru_cache(maxsize=1024)
def _sha256(key: _Key) -> str:
    with key.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative path with forward slashes, path) of every file below `folder`, sorted."""
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
    """Return the `digest` of what a pipeline loads from `folder`."""
    if (folder / SUMS).is_file():
        return digest(read_sums(folder / SUMS))
    return digest({name: sha256(path) for name, path in files_in(folder) if must_be_listed(name)})


def read_sums(file: Path) -> dict[str, str]:
    """Read a SHA256SUMS file, in the format of `sha256sum -c`: relative path -> hash.

    Raises ModelError for a malformed line, or a path that leaves the folder.
    """
    sums = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        digest, _, name = line.strip().partition(" ")
        name = name.lstrip(" *")
        path = PurePosixPath(name)
        if len(digest) != 64 or not name or path.is_absolute() or ".." in path.parts:
            raise ModelError(f"{file} has a line that is no '<sha256>  <relative path>': {line[:80]!r}.")
        sums[str(path)] = digest.lower()
    return sums


def write_sums(folder: Path, everything: bool = False) -> Path:
    """Write `folder`/SHA256SUMS over what a pipeline loads from it (or `everything`); returns its path."""
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
    """Return what differs from the record, as the end of a sentence ("… is missing"); None when nothing does.

    Every file of `expected` must be there with its hash, and every weights or configuration file in the folder must be
    expected.
    """
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256(path) != digest.lower():
            return f"{name} does not match its recorded SHA-256"
    for name, _ in files_in(folder):
        if must_be_listed(name) and name not in expected:
            return f"{name} is not on record"
    return None


def refuse_unsafe(folder: Path) -> None:
    """Raise ModelError for a file that could run code on loading, or is no safetensors in spite of its name."""
    for name, path in files_in(folder):
        if path.suffix.lower() in UNSAFE_SUFFIXES:
            raise ModelError(
                f"{name} can run code when it is loaded, so the model is refused: "
                "Limpid takes safetensors only. Convert it and remove that file."
            )
        if path.suffix == ".safetensors" and not _is_safetensors(path):
            if _is_lfs_pointer(path):
                raise ModelError(f"{name} is only a Git LFS pointer: run `git lfs pull`.")
            raise ModelError(f"{name} is not a safetensors file, so the model is refused: fetch or export it again.")


def _is_lfs_pointer(path: Path) -> bool:
    """Return True for the pointer file that a clone without Git LFS has in place of a large file."""
    with path.open("rb") as file:
        return file.read(24) == b"version https://git-lfs."


def _is_safetensors(path: Path) -> bool:
    # 8 bytes of header length, then a JSON object of that length.
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9 or start[8:] != b"{":
        return False
    length: int = struct.unpack("<Q", start[:8])[0]
    return length <= path.stat().st_size - 8
