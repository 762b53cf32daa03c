"""Download of a model from the Hub into one local folder: complete, checked and recorded, or not at all.

Files come through huggingface_hub's own cache (resumable, shared with other programs); the model's folder holds hard
links to them, made in a temporary folder that is renamed at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

from models.catalog import CatalogEntry, Part
from models.errors import AlteredModelError, ModelError
from models.integrity import SUMS, UNSAFE_SUFFIXES, files_in, refuse_unsafe, sha256, write_sums

RECORD = "limpid-model.json"
DEFAULT_ALLOW = ("*.safetensors", "*.json")
CONVERTERS = {"dereflection-any-image": "models.dereflection.published:convert"}
Files = list[tuple[str, Path]]  # name inside the part's folder, where it is now


class _Unusable(Exception):  # noqa: N818
    """This alternative of a part cannot be used; the text says why."""


def is_offline() -> bool:
    """Return True when HF_HUB_OFFLINE forbids downloads."""
    from huggingface_hub import is_offline_mode

    # The library reads the variable once, when it is imported.
    return is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def folder_of(entry: CatalogEntry) -> Path:
    """Return the model's folder below LIMPID_CACHE, or HF_HOME/limpid; a changed entry has another one."""
    from huggingface_hub import constants

    cache = Path(os.environ.get("LIMPID_CACHE") or Path(constants.HF_HOME) / "limpid").expanduser()
    shipped = {
        part.path: [(name, sha256(path)) for name, path in _shipped(entry, part)]
        for part in entry.sources()
        if part.path is not None
    }
    asked = [[asdict(part) for part in entry.sources()], entry.sha256, shipped, entry.convert]
    return cache / entry.id / hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def revision_of(folder: Path) -> str:
    """Return the commit recorded at the download, or one for each part ("unet=<12 digits>,vae=…") if they differ."""
    commits = {part["folder"]: part["revision"] for part in _record(folder)["parts"] if part["repo"]}
    different = set(commits.values())
    return different.pop() if len(different) == 1 else ",".join(f"{k}={v[:12]}" for k, v in commits.items())


def is_untouched(folder: Path) -> bool:
    """Return True while every file has its size and time of the download: a check that reads no weights."""
    try:
        return _stats(folder) == _record(folder)["files"]
    except AlteredModelError:
        return False


def _stats(folder: Path) -> dict[str, list[int]]:
    found = ((name, path.stat()) for name, path in files_in(folder) if name not in (RECORD, SUMS))
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found}


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AlteredModelError(f"{RECORD} is missing or cannot be read") from error
    return record


def fetch(entry: CatalogEntry) -> tuple[Path, list[str]]:
    """Make the model's folder, downloading what is missing; returns it and notes. Raises ModelError."""
    target = folder_of(entry)
    notes: list[str] = []
    found: list[tuple[dict[str, str | None], Files]] = []
    for part in entry.sources():
        repo, commit, files = (None, None, _shipped(entry, part)) if part.path else _fetch_part(entry, part, notes)
        found.append(({"folder": part.folder, "repo": repo, "revision": commit}, files))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as aside:
            temporary = Path(aside) / entry.id  # error messages name the model
            for source, files in found:
                for name, path in files:
                    place(path, temporary / str(source["folder"]) / name)
            refuse_unsafe(temporary)
            made = convert(entry.convert, temporary) if entry.convert else {}
            record: dict[str, Any] = {
                "id": entry.id,
                "licence": entry.licence,
                "parts": [source for source, _ in found],
            }
            record |= {"made": made, "files": _stats(temporary)}
            (temporary / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            for name, wanted in entry.sha256.items():
                if not (temporary / name).is_file() or sha256(temporary / name) != wanted.lower():
                    what = f"The model '{entry.id}' is not what the catalog says"
                    raise ModelError(f"{what}: {name} is missing or does not match its SHA-256. It was not stored.")
            write_sums(temporary, everything=True)
            if not target.is_dir():  # else another process was faster
                temporary.rename(target)
    except OSError as error:
        what = f"The model '{entry.id}' could not be stored in {target.parent}: {error}"
        raise ModelError(f"{what}. Set LIMPID_CACHE to a folder with room that can be written.") from error
    return target, notes


def convert(name: str, folder: Path) -> dict[str, Any]:
    """Run the converter of that name on ``folder``, in place, and return its record. Raises ModelError."""
    module, function = CONVERTERS[name].split(":")
    converter: Callable[[Path], dict[str, Any]] = getattr(import_module(module), function)
    return converter(folder)


def place(source: Path, target: Path) -> None:
    """Hard-link ``source`` to ``target``, or copy it where that cannot be."""
    if target.exists():
        raise ModelError(f"Two parts of the model bring the same file, {target.name}: mend the catalog.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(source, target)


def _fetch_part(entry: CatalogEntry, part: Part, notes: list[str]) -> tuple[str, str, Files]:
    """Return (repository, commit, files) of the first available alternative."""
    reasons = []
    for alternative in part.repos:
        repo, _, own_revision = alternative.partition("@")
        try:
            commit, files = _snapshot(entry, part, repo, own_revision or part.revision)
        except _Unusable as error:
            reasons.append(f"{repo}: {error}")
            continue
        if reasons:
            notes.append(f"{part.folder} of '{entry.id}' came from {repo} ({'; '.join(reasons)}).")
        return repo, commit, files
    if is_offline():
        why, cure = "is not on this machine and HF_HUB_OFFLINE forbids downloads", "Unset it while online"
    else:
        why, cure = f"could not be downloaded ({'; '.join(reasons)})", "Check the connection"
    raise ModelError(f"The model '{entry.id}' {why}. {cure}, or choose an embedded model.")


def _snapshot(entry: CatalogEntry, part: Part, repo: str, revision: str | None) -> tuple[str, Files]:
    """Return the commit and files of one repository, downloaded where they are not in the library's cache."""
    import huggingface_hub

    prefix = part.subfolder.strip("/") + "/" if part.subfolder else ""
    allow = [prefix + pattern for pattern in part.allow or DEFAULT_ALLOW]
    _check_space(entry)
    try:
        snapshot = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            allow_patterns=allow,
            ignore_patterns=[f"*{suffix}" for suffix in sorted(UNSAFE_SUFFIXES)],
            local_files_only=is_offline(),
            endpoint=os.environ.get("HF_ENDPOINT") or None,
        )
    except Exception as error:  # not found, gated, cut off, no network, …: all mean "try the next one"
        raise _Unusable(_in_words(error)) from error
    # The cache may hold other files of that repository, fetched by other programs.
    files = _matching(Path(snapshot), allow)
    unmatched = [pattern for pattern in allow if not any(fnmatch(name, pattern) for name, _ in files)]
    if not files or (part.allow and unmatched):
        raise _Unusable(f"it has no {(unmatched or allow)[0]}")
    for name, path in files:
        if not _matches_blob(path):
            raise _Unusable(f"{name} in the download cache is damaged: delete {path.resolve()}")
    return Path(snapshot).name, [(name.removeprefix(prefix), path) for name, path in files]


def _matching(folder: Path, patterns: list[str]) -> Files:
    safe = ((name, path) for name, path in files_in(folder) if path.suffix.lower() not in UNSAFE_SUFFIXES)
    return [(name, path) for name, path in safe if any(fnmatch(name, pattern) for pattern in patterns)]


def _in_words(error: Exception) -> str:
    """Return one sentence for an error of the library, whose own messages run over many lines."""
    from huggingface_hub import errors

    known = {
        errors.GatedRepoError: "its owner must grant access: accept its terms, set HF_TOKEN",
        errors.RepositoryNotFoundError: "there is no such repository, or it is private",
        errors.RevisionNotFoundError: "it does not have that revision",
        errors.LocalEntryNotFoundError: "it could not be reached",
    }
    text = next((text for kind, text in known.items() if isinstance(error, kind)), "")
    return text or " ".join(str(error).split())[:200] or type(error).__name__


def _matches_blob(path: Path) -> bool:
    """Check a file against its name in the cache: SHA-256 if large, git's SHA-1 if small."""
    blob = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", blob.name):
        return sha256(blob) == blob.name
    if re.fullmatch("[0-9a-f]{40}", blob.name):
        data = blob.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == blob.name
    return True  # a cache without links (Windows), or another server's naming


def _check_space(entry: CatalogEntry) -> None:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    folder = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(folder).free / 1e6
    if not is_offline() and entry.size_mb > free:
        needs = f"needs {entry.size_mb:.0f} MB and {folder} has {free:.0f} MB free"
        raise ModelError(f"The model '{entry.id}' {needs}: make room, or set HF_HOME to a larger disk.")


def _shipped(entry: CatalogEntry, part: Part) -> Files:
    """Return the files of a part beside the catalog."""
    source = entry.root / str(part.path)
    files = [(source.name, source)] if source.is_file() else _matching(source, list(part.allow or DEFAULT_ALLOW))
    if not files:
        raise ModelError(f"The catalog's model '{entry.id}' needs {source}, which is not there.")
    return files
