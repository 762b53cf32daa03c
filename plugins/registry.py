"""Discovery of plugins: folders beside this file, further folders, installed packages (entry points).

An error in a plugin disables that plugin only; the reason is kept.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import tomllib
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from models import hub
from models.catalog import USER_CATALOG
from models.errors import LimpidError
from plugins import schema
from plugins.contract import API, Manifest, Plugin, PluginError
from plugins.options import RESERVED_NAMES

ENTRY_POINT_GROUP = "limpid.plugins"
ALLOWED_VARIABLE = "LIMPID_PLUGINS"
"""Environment variable with comma-separated plugin ids; if set, only these are imported."""
OWN_ENDPOINTS = ("restore", "batch", "plugins", "models", "health")
"""Endpoints that are no plugin's."""
_BUILT_IN_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Loaded:
    """A plugin that can be used. ``source``: "built in", "folder", or the name and version of its package."""

    manifest: Manifest
    plugin: type[Plugin]
    Params: type[BaseModel]
    source: str

    @property
    def fields(self) -> list[schema.FieldSpec]:
        """Its parameters."""
        return schema.fields(self.Params)


@dataclass(frozen=True)
class _Found:
    """A candidate; ``name`` is its id once that is known, ``folder`` holds plugin.toml, ``load`` returns its class."""

    name: str
    folder: Path
    source: str
    load: Callable[[Manifest], Any]


@dataclass
class Registry:
    """The plugins found.

    ``enabled``: by id, in their order. ``disabled``: (id, reason). ``left_out``: those of them that
    LIMPID_PLUGINS does not name.
    """

    enabled: dict[str, Loaded] = field(default_factory=dict)
    disabled: list[tuple[str, str]] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)

    @classmethod
    def discover(cls, extra_folders: Iterable[str | Path] = (), catalog: hub.Catalog | None = None) -> Registry:
        """Find built-in plugins, then those in ``extra_folders`` (each a plugin or a folder of plugins), then packages.

        A plugin is disabled if its task has no model in the catalog, or if its embedded model is missing or altered.
        """
        registry = cls()
        named = os.environ.get(ALLOWED_VARIABLE)
        allowed = None if named is None else {word.strip() for word in named.split(",") if word.strip()}
        seen: set[str] = set()
        for found in _find(extra_folders):
            registry._add(found, allowed, seen, catalog)
        for missing in sorted((allowed or set()) - seen):
            registry.disabled.append((missing, f"{ALLOWED_VARIABLE} names it, but there is no such plugin."))
        ordered = sorted(registry.enabled.values(), key=lambda one: (one.manifest.order, one.manifest.id))
        registry.enabled = {one.manifest.id: one for one in ordered}
        return registry

    def _add(self, found: _Found, allowed: set[str] | None, seen: set[str], catalog: hub.Catalog | None) -> None:
        name = found.name
        try:
            manifest = _manifest(found.folder)
            name = manifest.id
            if name in seen:
                raise PluginError(f"Another plugin has the id '{name}' already ({found.source}): rename one.")
            seen.add(name)
            if allowed is not None and name not in allowed:
                self.left_out.add(name)
                raise PluginError(f"It is not among those that {ALLOWED_VARIABLE} allows.")
            self.enabled[name] = _checked(manifest, found, catalog)
        except LimpidError as error:
            self.disabled.append((name, str(error)))
        except Exception as error:  # third-party validators and defaults may raise anything
            self.disabled.append((name, f"It cannot be used: {type(error).__name__}: {error}."))

    def restorers(self) -> list[Loaded]:
        """Return the enabled restorers, in order."""
        return [loaded for loaded in self.enabled.values() if loaded.manifest.kind == "restore"]

    def guides(self) -> list[Loaded]:
        """Return the enabled guides, in order."""
        return [loaded for loaded in self.enabled.values() if loaded.manifest.kind == "guide"]

    def get(self, plugin_id: str) -> Loaded:
        """Return a plugin. Raises PluginError, which names the known ids or the reason why this one is disabled."""
        if plugin_id in self.enabled:
            return self.enabled[plugin_id]
        for name, reason in self.disabled:
            if name == plugin_id:
                raise PluginError(f"The plugin '{plugin_id}' is disabled: {reason}")
        raise PluginError(f"There is no plugin '{plugin_id}' (there are: {', '.join(self.enabled) or 'none'}).")

    def describe(self) -> list[dict[str, Any]]:
        """Return JSON rows for listings: enabled plugins with their fields, then disabled ones with the reason."""
        rows: list[dict[str, Any]] = []
        for loaded in self.enabled.values():
            row = loaded.manifest.model_dump(mode="json", exclude={"api", "entry"})
            rows.append(
                {**row, "enabled": True, "source": loaded.source, "params": [one.as_dict() for one in loaded.fields]}
            )
        return rows + [{"id": name, "enabled": False, "reason": reason} for name, reason in self.disabled]


def _find(extra_folders: Iterable[str | Path]) -> Iterator[_Found]:
    for toml in sorted(_BUILT_IN_FOLDER.glob("*/plugin.toml")):
        package = f"{__package__}.{toml.parent.name}"
        yield _Found(toml.parent.name, toml.parent, "built in", partial(_by_entry, package))
    for extra in map(Path, extra_folders):
        tomls = [extra / "plugin.toml"] if (extra / "plugin.toml").is_file() else sorted(extra.glob("*/plugin.toml"))
        for toml in tomls:
            folder = toml.parent.resolve()
            yield _Found(folder.name, folder, "folder", partial(_from_folder, folder))
    for point in sorted(metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (point.name, point.value)):
        source = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        module = point.value.partition(":")[0].strip()  # .module raises where the value is not well-formed
        yield _Found(point.name, _beside(module), source, partial(_from_point, point))


def _by_entry(package: str, manifest: Manifest) -> Any:
    module, _, name = manifest.entry.partition(":")
    if not module or not name:
        raise PluginError('plugin.toml needs entry = "module:Class" (a module beside it).')
    return getattr(importlib.import_module(f"{package}.{module}"), name)


def _from_folder(folder: Path, manifest: Manifest) -> Any:
    """Load from a folder outside of this package, as a package so that its modules can import one another."""
    package = "limpid_folder_" + re.sub(r"\W", "_", str(folder))
    if package not in sys.modules:
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module
    return _by_entry(package, manifest)


def _from_point(point: metadata.EntryPoint, _: Manifest) -> Any:
    return point.load()


def _beside(module: str) -> Path:
    """Return the folder of an installed module without importing it, since a failing import is reported by id."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return Path(f"<{module}>")  # a single-file module has no folder for a plugin.toml
    folder = Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)
    return folder if folder.is_dir() else folder.parent


def _manifest(folder: Path) -> Manifest:
    try:
        text = (folder / "plugin.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PluginError("It has no readable plugin.toml beside its entry: ship it as package data.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PluginError(f"plugin.toml is not valid TOML: {error}.") from error
    if values.get("api") != API:
        raise PluginError(f"plugin.toml asks for contract api = {values.get('api')!r}, and this is {API}.")
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise PluginError(f"plugin.toml is not right ({wrong}).") from error


def _checked(manifest: Manifest, found: _Found, catalog: hub.Catalog | None) -> Loaded:
    """Import a plugin's class and check its structure. Raises a LimpidError naming what is missing."""
    if manifest.id in {*OWN_ENDPOINTS, *RESERVED_NAMES}:
        raise PluginError(f"The id '{manifest.id}' is one of the app's own names: choose another.")
    try:
        plugin = found.load(manifest)
    except LimpidError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises on import
        raise PluginError(f"It cannot be imported: {type(error).__name__}: {error}.") from error
    if not isinstance(plugin, type):
        raise PluginError("Its entry is not a class.")
    missing = [name for name in ("load", "cost", "run") if not callable(getattr(plugin, name, None))]
    if missing:
        raise PluginError(f"Its class has no method {', '.join(missing)}.")
    params = getattr(plugin, "Params", None)
    if not (isinstance(params, type) and issubclass(params, BaseModel)):
        raise PluginError("Its class has no Params, a pydantic model of its options (an empty one will do).")
    for spec in schema.fields(params):
        if spec.name in RESERVED_NAMES:
            raise PluginError(f"Its parameter '{spec.name}' is one of the host's own: rename it.")
        if spec.kind == "path" or spec.default is None:
            raise PluginError(f"Its parameter '{spec.name}' must be bool, int, float, str or Literal, never empty.")
    schema.validate(params, {spec.name: spec.default for spec in schema.fields(params)})  # defaults are checked, too
    if manifest.task:
        known = catalog or hub.Catalog.load()
        if not known.entries(manifest.task):
            cure = f"train one, or name one in a catalog of your own ({USER_CATALOG})"
            raise PluginError(f"No model for {manifest.task} is in the catalog: {cure}.")
        embedded = known.embedded(manifest.task)
        if embedded is not None:
            hub.resolve(embedded.id, catalog)
    return Loaded(manifest, plugin, params, found.source)
