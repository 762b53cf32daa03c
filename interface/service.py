"""What page and endpoints share: catalog, registry and host."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from interface import jobs
from interface.settings import settings
from models.errors import LimpidError
from models.hub import Catalog, list_models
from plugins import __version__
from plugins.host.limits import Limits
from plugins.host.run import Host
from plugins.registry import OWN_ENDPOINTS, Loaded, Registry

log = logging.getLogger(__name__)


class Service:
    """Plugins, models and host of a running app. Constructing it imports no torch and loads no model."""

    def __init__(self, extra_folders: Iterable[str | Path] = (), catalog: Catalog | None = None) -> None:
        self.catalog = catalog or Catalog.load()
        self.registry = Registry.discover(extra_folders, catalog=self.catalog)
        bounds = settings()
        self.host = Host(self.registry, self.catalog, Limits(bounds.max_side, bounds.max_seconds))
        jobs.use(self.host)

    @property
    def restorers(self) -> list[Loaded]:
        """Enabled restorers, in order."""
        return self.registry.restorers()

    @property
    def guides(self) -> list[Loaded]:
        """Enabled guides, in order."""
        return self.registry.guides()

    @property
    def broken(self) -> list[str]:
        """Ids of plugins that are disabled, but for those that LIMPID_PLUGINS leaves out."""
        return [name for name, _ in self.registry.disabled if name not in self.registry.left_out]

    def reason(self, plugin_id: str) -> str:
        """Return why a plugin cannot be used, as a sentence; "" for one that can."""
        try:
            self.registry.get(plugin_id)
        except LimpidError as error:
            return str(error)
        return ""

    def why_not(self, endpoint: str) -> str:
        """Return why there is no such endpoint, as a sentence; "" for one that there is."""
        known = [plugin.manifest.id for plugin in (*self.restorers, *self.guides)] + [*OWN_ENDPOINTS]
        if endpoint in known or endpoint in self.broken:
            return self.reason(endpoint) if endpoint in self.broken else ""
        return f"There is no endpoint {endpoint!r:.80} (there are: {', '.join(known)})."

    def guides_of(self, plugins: Iterable[Loaded]) -> list[Loaded]:
        """Return the guides if one of these restorers takes guidance and has a guided model; else none."""
        taking = [plugin.manifest for plugin in plugins if plugin.manifest.guidance]
        guided = any(not one.task or any(entry.guided for entry in self.catalog.entries(one.task)) for one in taking)
        return self.guides if guided else []

    def models(self) -> list[dict[str, Any]]:
        """Return the rows of /models and of the models page."""
        return list_models(self.catalog)

    def plugins(self) -> list[dict[str, Any]]:
        """Return the rows of /plugins: enabled ones with parameters, disabled ones with the reason."""
        return self.registry.describe()

    def model_ids(self, plugin: Loaded) -> list[tuple[str, str]]:
        """Return (name, id) of the models of a plugin's task."""
        if not plugin.manifest.task:
            return []
        return [(entry.name or entry.id, entry.id) for entry in self.catalog.entries(plugin.manifest.task)]

    def health(self) -> dict[str, Any]:
        """Return the values of /health and the footer: versions, device, plugins. Imports torch."""
        from models.runtime import report

        return {
            "status": "ok",
            "version": __version__,
            **report(),
            "plugins": [plugin.manifest.id for plugin in (*self.restorers, *self.guides)],
            "disabled": [plugin_id for plugin_id, _ in self.registry.disabled],
        }

    def warm_up(self) -> threading.Thread:
        """Import torch and diffusers in a thread, so that the first photo need not wait for them."""

        def load() -> None:
            try:
                self.health()
            except Exception:  # the page reports it, too, when it asks for /health
                log.exception("The runtime could not be probed")

        thread = threading.Thread(target=load, name="limpid-warm-up", daemon=True)
        thread.start()
        return thread
