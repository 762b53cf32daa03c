"""From a model's id to a complete, checked and safe local folder: embedded, cached or downloaded."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from models import download
from models.catalog import Catalog, CatalogEntry, Part
from models.errors import AlteredModelError, ModelError
from models.integrity import SUMS, digest, files_in, find_alteration, fingerprint, read_sums, refuse_unsafe

__all__ = ["Catalog", "CatalogEntry", "LocalModel", "Part", "list_models", "resolve", "resolve_for"]

_fetching = Lock()


@dataclass(frozen=True)
class LocalModel:
    """A model on this machine. `revision` is a commit, or a digest of its files where there is none."""

    id: str
    folder: Path
    revision: str
    entry: CatalogEntry
    notes: tuple[str, ...] = ()


def resolve(model_id: str, catalog: Catalog | None = None) -> LocalModel:
    """Return the model of that id, checked and downloaded if need be. Raises ModelError, or AlteredModelError."""
    entry = (catalog or Catalog.load()).get(model_id)
    return _from_hub(entry) if entry.source == "hub" else _from_folder(entry)


def locate(model: str) -> tuple[Path, str]:
    """Return the folder and revision of a model given as a folder or a catalog id. Raises ModelError."""
    folder = Path(model)
    if folder.is_dir():
        return folder, fingerprint(folder)
    local = resolve(model)
    return local.folder, local.revision


def resolve_for(task: str, requested: str | None = None, catalog: Catalog | None = None) -> LocalModel:
    """Return the model to use for `task`: the one requested, or the default.

    A requested model is used or is an error. A default that is altered or unavailable is replaced by the embedded
    model, with a note. Raises ModelError when that one is altered too, or there is none.
    """
    catalog = catalog or Catalog.load()
    if requested:
        return resolve(catalog.get(requested, task).id, catalog)
    entry, embedded = catalog.default(task), catalog.embedded(task)
    if entry is None:
        raise ModelError(f"No model for {task} is in the catalog: name one, or add it to your own catalog.")
    try:
        return resolve(entry.id, catalog)
    except ModelError as error:
        if embedded is None or embedded.id == entry.id:
            raise
        model = resolve(embedded.id, catalog)
        return replace(model, notes=(*model.notes, f"The embedded model '{model.id}' was used. {error}"))


def list_models(catalog: Catalog | None = None) -> list[dict[str, Any]]:
    """Return what /models and the models page show, JSON values only; nothing is downloaded."""
    rows = []
    for entry in (catalog or Catalog.load()).entries():
        where, folder = _where(entry)
        on_disk = sum(path.stat().st_size for _, path in files_in(folder)) / 1e6 if folder else 0.0
        row = {key: getattr(entry, key) for key in ("id", "name", "task", "tier", "summary", "licence", "default")}
        row |= {"name": entry.name or entry.id, "size_mb": entry.size_mb or round(on_disk, 1)}
        rows.append(row | {"quality": entry.quality or _measured(folder), "where": where})
    return rows


def _measured(folder: Path | None) -> dict[str, Any]:
    """Read the figures that training/publish.py wrote beside a model; {} where there are none."""
    try:
        figures = json.loads((folder / "quality.json").read_text(encoding="utf-8")) if folder else None
    except (OSError, ValueError):
        return {}
    return figures if isinstance(figures, dict) else {}


def _where(entry: CatalogEntry) -> tuple[str, Path | None]:
    """Return the state of a model for `list_models`, and its folder if there is one."""
    try:
        folder = download.folder_of(entry) if entry.source == "hub" else entry.folder
    except ModelError:  # what the repository should ship of it is not there
        return "missing", None
    if not folder.is_dir():
        return ("not downloaded" if entry.source == "hub" else "missing"), None
    try:
        if entry.source == "hub":
            if not download.is_untouched(folder):  # else: no need to read gigabytes for a list
                _check_download(entry, folder)
            return "cached", folder
        _from_folder(entry)
        return entry.source, folder
    except ModelError:
        return "altered", folder


def _from_folder(entry: CatalogEntry) -> LocalModel:
    folder = entry.folder
    if not folder.is_dir():
        raise ModelError(f"The model '{entry.id}' should be in {folder}, which is missing: restore or train it.")
    _refuse_unsafe(entry, folder)
    expected = {**(read_sums(folder / SUMS) if (folder / SUMS).is_file() else {}), **entry.sha256}
    if not expected and entry.source == "local":  # a model in the making
        notes = (f"The model '{entry.id}' has no {SUMS}, so its files were not checked.",)
        return LocalModel(entry.id, folder, fingerprint(folder), entry, notes)
    if not expected:
        raise AlteredModelError(f"The model '{entry.id}' has no {SUMS}, so it cannot be checked: restore {folder}.")
    altered = find_alteration(folder, expected)
    if altered:
        cure = f", or write its {SUMS} anew." if entry.source == "local" else "."
        raise AlteredModelError(f"The model '{entry.id}' was altered: {altered}. Restore {folder}{cure}")
    return LocalModel(entry.id, folder, digest(expected), entry)


def _from_hub(entry: CatalogEntry) -> LocalModel:
    folder = download.folder_of(entry)
    notes: list[str] = []
    with _fetching:  # a second request waits for the download instead of starting its own
        if not folder.is_dir():
            folder, notes = download.fetch(entry)
    return LocalModel(entry.id, folder, _check_download(entry, folder), entry, tuple(notes))


def _check_download(entry: CatalogEntry, folder: Path) -> str:
    """Check a downloaded model against the catalog and its record; return its revision."""
    _refuse_unsafe(entry, folder)
    try:
        if not (folder / SUMS).is_file():
            raise AlteredModelError(f"{SUMS} is missing")
        altered = find_alteration(folder, {**read_sums(folder / SUMS), **entry.sha256})
        if altered:
            raise AlteredModelError(altered)
        return download.revision_of(folder)
    except AlteredModelError as error:
        text = f"The model '{entry.id}' was altered: {error}. Delete {folder} to fetch it again."
        raise AlteredModelError(text) from error


def _refuse_unsafe(entry: CatalogEntry, folder: Path) -> None:
    """Call `refuse_unsafe`, naming the model in the error."""
    try:
        refuse_unsafe(folder)
    except ModelError as error:
        raise ModelError(f"The model '{entry.id}' cannot be used: {error}") from error
