"""The list of models: what each is for and where it comes from (catalog.toml, and a user's own beside it)."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from models.errors import ModelError
from models.integrity import UNSAFE_SUFFIXES

BUILT_IN = Path(__file__).with_name("catalog.toml")
USER_CATALOG = "LIMPID_CATALOG"  # environment variable naming a user's catalog
_STRICT = ConfigDict(extra="forbid")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, config=_STRICT)
class Part:
    """Files that go into one folder of a downloaded model, from a repository or from beside the catalog."""

    folder: str = "."  # inside the model's folder
    repo: str | tuple[str, ...] = ()  # "owner/name" or "owner/name@revision", or alternatives tried in order
    subfolder: str = ""  # inside the repository
    revision: str | None = None  # for repositories that name none; without it, what is found is recorded
    allow: tuple[str, ...] = ()  # patterns below `subfolder`, each must match; default: safetensors and JSON
    path: str | None = None  # instead of `repo`: a file or folder relative to the catalog

    def __post_init__(self) -> None:
        if bool(self.repo) == (self.path is not None):
            raise ValueError("a part names either repo or path")
        for name in (self.folder, self.subfolder):
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name!r} leaves the model's folder")
        _refuse_unsafe_patterns(self.allow)

    @property
    def repos(self) -> tuple[str, ...]:
        """The alternatives, in order."""
        return (self.repo,) if isinstance(self.repo, str) else self.repo


def _refuse_unsafe_patterns(patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if PurePosixPath(pattern).suffix.lower() in UNSAFE_SUFFIXES:
            raise ValueError(f"{pattern!r} asks for files that can run code: safetensors only")


@dataclass(frozen=True, config=_STRICT)
class CatalogEntry:
    """One model. `path` is relative to the catalog's folder, `root`; sizes are in MB of 10^6 bytes."""

    id: str
    task: str
    source: Literal["embedded", "hub", "local"]
    licence: str
    name: str = ""
    tier: str = ""
    summary: str = ""
    path: str = ""  # embedded, local: the folder
    repo: str | tuple[str, ...] = ()  # hub, all files from one repository: it, or alternatives
    revision: str | None = None
    files: tuple[str, ...] = ()  # of `repo`; default: safetensors and JSON
    parts: tuple[Part, ...] = ()  # hub, files from several repositories (or for a model of another layout)
    convert: Literal["", "dereflection-any-image"] = ""  # hub: converter of the downloaded parts
    size_mb: float = 0.0
    quality: dict[str, Any] = field(default_factory=dict)
    default: bool = False
    guided: bool = False  # trained with guidance: the page offers it where such a model is listed
    sha256: dict[str, str] = field(default_factory=dict)  # by path inside the model's folder
    root: Path = BUILT_IN.parent

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no id: use small letters, digits, '.', '_' and '-'")
        if self.source == "hub":
            if bool(self.repo) == bool(self.parts):
                raise ValueError("a model from the Hub needs either repo or parts")
            _refuse_unsafe_patterns(self.files)
        elif not self.path:
            raise ValueError(f"an {self.source} model needs path")

    def sources(self) -> tuple[Part, ...]:
        """Return the parts to fetch; `repo`, `revision` and `files` are the short form of a single one."""
        return self.parts or (Part(repo=self.repo, revision=self.revision, allow=self.files),)

    @property
    def folder(self) -> Path:
        """The folder of an embedded or local model."""
        return (self.root / self.path).resolve()


class Catalog:
    """The models known here, in the order of the catalogs."""

    def __init__(self, entries: Iterable[CatalogEntry]) -> None:
        self._entries: dict[str, CatalogEntry] = {}
        for entry in entries:
            if entry.id in self._entries:
                raise ModelError(f"Two models are called '{entry.id}': give one of them another id.")
            self.add(entry)

    @classmethod
    def load(cls, path: Path | str | None = None) -> Catalog:
        """Read `path` (default: the built-in catalog) and LIMPID_CATALOG's. Raises ModelError naming file and entry."""
        entries = _read(Path(path) if path else BUILT_IN, built_in=True)
        own = os.environ.get(USER_CATALOG)
        return cls(entries + (_read(Path(own).expanduser(), built_in=False) if own else []))

    def add(self, entry: CatalogEntry) -> None:
        """Add a model that was made while this catalog is in use. Raises ModelError if its id is taken."""
        if entry.id in self._entries:
            raise ModelError(f"There is a model '{entry.id}' already: choose another id.")
        self._entries[entry.id] = entry

    def entries(self, task: str | None = None) -> list[CatalogEntry]:
        """Return all models, or those for `task`."""
        return [entry for entry in self._entries.values() if task in (None, entry.task)]

    def get(self, model_id: str, task: str | None = None) -> CatalogEntry:
        """Return the model of that id (and for `task`). Raises ModelError naming the known ids."""
        entry = self._entries.get(model_id)
        if entry is None or task not in (None, entry.task):
            known = ", ".join(e.id for e in self.entries(task)) or "none"
            purpose = f" for {task}" if task else ""
            raise ModelError(f"There is no model '{model_id}'{purpose}. Known models{purpose}: {known}.")
        return entry

    def default(self, task: str) -> CatalogEntry | None:
        """Return the default for `task`: the last one marked so (a user's own wins), else the embedded one."""
        marked = [entry for entry in self.entries(task) if entry.default]
        return marked[-1] if marked else self.embedded(task)

    def embedded(self, task: str) -> CatalogEntry | None:
        """Return the first embedded model for `task`, the fallback."""
        return next((entry for entry in self.entries(task) if entry.source == "embedded"), None)


_ENTRY = TypeAdapter(CatalogEntry)


def read_catalog(file: Path) -> list[CatalogEntry]:
    """Read a user's catalog. Raises ModelError naming file and entry."""
    return _read(file, built_in=False)


def _read(file: Path, built_in: bool) -> list[CatalogEntry]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"The model catalog {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ModelError(f"The model catalog {file} is not valid TOML: {error}.") from error
    tables = document.pop("model", [])
    if document or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ModelError(f"The model catalog {file} may hold [[model]] tables only.")
    entries = []
    for table in tables:
        name = table.get("id", "without an id")
        try:
            entries.append(_ENTRY.validate_python({**table, "root": file.resolve().parent}))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) + ": " if first["loc"] else ""
            what = first["msg"].removeprefix("Value error, ")
            raise ModelError(f"The model catalog {file} has a mistake in model {name}: {where}{what}.") from error
        if entries[-1].source == "embedded" and not built_in:
            raise ModelError(f'The model catalog {file} calls {name} embedded: use source = "local".')
    return entries
