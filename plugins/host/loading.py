"""Loading of plugins with their models, and a cache of those loaded."""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel

from models import hub, tiles
from models import runtime as runtimes
from models.errors import LimpidError, ModelError
from models.runtime import Runtime
from plugins.contract import LoadContext, Plugin, PluginError
from plugins.registry import Loaded

MAX_LOADED_MODELS = 3
"""So that dereflection, deblurring and their guide stay loaded together."""


@dataclass(frozen=True)
class Ready:
    """A plugin with its model loaded. ``local`` is None for one without a model."""

    loaded: Loaded
    plugin: Plugin
    local: hub.LocalModel | None
    runtime: Runtime


class ModelCache:
    """A cache of loaded plugins; the least recently used is freed first.

    It is not thread-safe: the host holds its lock around each call.
    """

    def __init__(self, catalog: hub.Catalog | None = None, kept: int = MAX_LOADED_MODELS) -> None:
        self._catalog = catalog
        self._kept = kept
        self._ready: OrderedDict[tuple[str, str, str], Ready] = OrderedDict()

    def get(self, loaded: Loaded, model: str | None = None) -> Ready:
        """Return the plugin with that model (None: the default of its task). Raises ModelError or PluginError."""
        task = loaded.manifest.task
        local = hub.resolve_for(task, model, self._catalog) if task else None
        key = (loaded.manifest.id, local.id if local else "", local.revision if local else "")
        if key in self._ready:
            self._ready.move_to_end(key)
            return replace(self._ready[key], local=local)  # with the notes of this request
        while len(self._ready) >= self._kept:
            self._ready.popitem(last=False)
            _collect()
        try:
            ready = self._load(loaded, local)
        except (Exception, SystemExit) as error:
            if not tiles.is_out_of_memory(error) or not self._ready:
                raise _failed(loaded, error) from error
            self.clear()  # and try once more
            try:
                ready = self._load(loaded, local)
            except (Exception, SystemExit) as again:
                raise _failed(loaded, again) from again
        self._ready[key] = ready
        return ready

    def clear(self) -> None:
        """Free all models."""
        self._ready.clear()
        _collect()

    def _load(self, loaded: Loaded, local: hub.LocalModel | None) -> Ready:
        runtime = runtimes.probe()
        if runtime.dtype not in loaded.manifest.precisions:
            runtime = runtimes.probe(dtype=loaded.manifest.precisions[0])
        plugin = loaded.plugin()
        plugin.load(local, LoadContext(runtime))
        # A plugin may choose a runtime by itself, which the run record is to report.
        live = getattr(plugin, "runtime", None)
        return Ready(loaded, plugin, local, live if isinstance(live, Runtime) else runtime)


def task_of(
    model: str | None, chain: Sequence[tuple[Loaded, BaseModel]], catalog: hub.Catalog | None = None
) -> str | None:
    """Return the task of a model that was asked for; None for no model. Raises PluginError or ModelError."""
    if not model:
        return None
    catalog = catalog or hub.Catalog.load()
    tasks = {loaded.manifest.task for loaded, _ in chain if loaded.manifest.task}
    known = {entry.id: entry.task for task in sorted(tasks) for entry in catalog.entries(task)}
    if model in known:
        return known[model]
    names = " or ".join(loaded.manifest.name for loaded, _ in chain)
    if model in [entry.id for entry in catalog.entries()]:
        task = catalog.get(model).task
        raise PluginError(f"The model '{model}' is for {task}, not for {names}: leave it empty or name another.")
    raise ModelError(f"There is no model '{model}' for {names}. Known ones: {', '.join(known) or 'none'}.")


def _failed(loaded: Loaded, error: BaseException) -> LimpidError:
    if isinstance(error, LimpidError):
        return error
    return PluginError(f"{loaded.manifest.name} could not be loaded: {type(error).__name__}: {error}.")


def _collect() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
