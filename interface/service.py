"""What the page, the endpoints and the command line share: catalog, registry and host; and their warm-up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from interface import work
from models.hub import Catalog, list_models
from plugins import __version__
from plugins.host.run import Host
from plugins.registry import Loaded, Registry

log = logging.getLogger(__name__)


class Service:
    """The plugins, models and host of one running app. Making it loads neither torch nor a model."""

    def __init__(self, extra_folders: Iterable[str | Path] = (), catalog: Catalog | None = None) -> None:
        self.catalog = catalog or Catalog.load()
        self.registry = Registry.discover(extra_folders, catalog=self.catalog)
        self.host = Host(self.registry, self.catalog)
        work.use(self.host)

    @property
    def restorers(self) -> list[Loaded]:
        return self.registry.restorers()

    @property
    def guides(self) -> list[Loaded]:
        return self.registry.guides()

    def guides_of(self, plugins: Iterable[Loaded]) -> list[Loaded]:
        """The guides, where one of these restorers takes guidance and has a model that was trained with it."""
        taking = [plugin.manifest for plugin in plugins if plugin.manifest.guidance]
        told = any(not one.task or any(entry.guided for entry in self.catalog.entries(one.task)) for one in taking)
        return self.guides if told else []

    def models(self) -> list[dict[str, Any]]:
        """For /models and the models page."""
        return list_models(self.catalog)

    def plugins(self) -> list[dict[str, Any]]:
        """For /plugins: the enabled with their parameters, the disabled with their reason."""
        return self.registry.describe()

    def model_ids(self, plugin: Loaded) -> list[tuple[str, str]]:
        """(name, id) of the models that fit a plugin."""
        if not plugin.manifest.task:
            return []
        return [(entry.name or entry.id, entry.id) for entry in self.catalog.entries(plugin.manifest.task)]

    def health(self) -> dict[str, Any]:
        """For /health and the footer: what runs where. Loads torch when it is not there yet."""
        from models.runtime import report

        return {
            "status": "ok",
            "version": __version__,
            **report(),
            "plugins": [plugin.manifest.id for plugin in (*self.restorers, *self.guides)],
            "disabled": [plugin_id for plugin_id, _ in self.registry.disabled],
        }

    def warm_up(self) -> threading.Thread:
        """Loads torch and diffusers in the background, so that the first photo does not wait for them."""

        def load() -> None:
            try:
                self.health()
            except Exception:  # the page says it, too, when it asks for the report
                log.exception("The runtime could not be probed")

        thread = threading.Thread(target=load, name="limpid-warm-up", daemon=True)
        thread.start()
        return thread
