"""One launched app for all these tests: a tiny model; plugins built in, installed, broken and slow, and a guide."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from models.hub import Catalog
from models.integrity import write_sums
from tests.plugins.packages import forget, plugin_site  # noqa: F401

SLOW = '''"""Takes its time, and counts how far it came."""
import time
from pydantic import BaseModel

class Slow:
    class Params(BaseModel):
        parts: int = 3
    done = 0
    def load(self, model, ctx): pass
    def cost(self, size, params): return {"seconds": 1.0, "memory_mb": 1.0}
    def run(self, picture, params, ctx):
        for index in range(params.parts):
            ctx.progress.update(index / params.parts, f"part {index + 1}")
            type(self).done = index + 1
            time.sleep(0.05)
        return picture.pixels
'''
MANIFEST = """api = 1
id = "slow"
kind = "restore"
entry = "plugin:Slow"
name = "Slow"
summary = "Waits."
order = 950
"""

LOOKER = '''"""A guide."""
from pydantic import BaseModel, Field

class Looker:
    class Params(BaseModel):
        most: int = Field(3, ge=1, le=9, description="How many tags.")
    def load(self, model, ctx): pass
    def cost(self, size, params): return {"seconds": 0.1, "memory_mb": 1.0}
    def run(self, picture, params, ctx):
        shown = "light" if picture.pixels.mean() > 0.5 else "dark"
        tags = [{"name": name, "score": 0.5} for name in (shown, "wall", "street")]
        return {"caption": "a wall", "tags": tags[: params.most], "model": "looker-1"}
'''


@pytest.fixture(scope="session")
def tiny_catalog(tiny_pipeline: Path, tiny_deblur: Path, tiny_semantics: Path) -> Catalog:
    """The catalog with the tiny pipelines in the place of the embedded models."""
    write_sums(tiny_pipeline)
    write_sums(tiny_deblur)
    write_sums(tiny_semantics)
    listing = tiny_pipeline.parent / "catalog.toml"
    listing.write_text(
        '[[model]]\nid = "dereflection-small"\nname = "Tiny"\ntask = "dereflection"\ntier = "small"\n'
        f'source = "embedded"\npath = "{tiny_pipeline.name}"\nlicence = "cc0-1.0"\nsummary = "For tests."\n'
        "default = true\nquality = { nothing = { psnr = 12.5 } }\n"
        '[[model]]\nid = "deblur-tiny"\ntask = "deblur"\nsource = "embedded"\nlicence = "cc0-1.0"\n'
        f'path = "{tiny_deblur}"\n'
        '[[model]]\nid = "semantics-tiny"\ntask = "semantics"\nsource = "embedded"\nlicence = "cc0-1.0"\n'
        f'path = "{tiny_semantics}"\n'
    )
    return Catalog.load(listing)


@pytest.fixture(scope="session")
def slow_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("more") / "slow"
    folder.mkdir()
    (folder / "plugin.py").write_text(SLOW)
    (folder / "plugin.toml").write_text(MANIFEST)
    return folder


@pytest.fixture(scope="session")
def guided_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A restorer that takes guidance."""
    folder = tmp_path_factory.mktemp("guided") / "waiting"
    folder.mkdir()
    (folder / "plugin.py").write_text(SLOW)
    named = MANIFEST.replace('"slow"', '"waiting"').replace('"Slow"\nsummary', '"Waiting"\nsummary')
    (folder / "plugin.toml").write_text(named.replace("950", "960") + 'guidance = ["tags", "caption"]\n')
    return folder


@pytest.fixture(scope="session")
def guide_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guides") / "looker"
    folder.mkdir()
    (folder / "plugin.py").write_text(LOOKER)
    (folder / "plugin.toml").write_text(
        'api = 1\nid = "looker"\nkind = "guide"\nentry = "plugin:Looker"\nname = "Looker"\n'
        'summary = "Says what a photo shows."\nguidance = ["caption", "tags"]\n'
    )
    return folder


@pytest.fixture(scope="session")
def app_url(
    tiny_catalog: Catalog,
    slow_plugin: Path,
    guide_plugin: Path,
    guided_plugin: Path,
    plugin_site: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of the running app."""
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    from interface.server import serve
    from interface.service import Service

    sys.path.insert(0, str(plugin_site))
    forget()
    try:
        service = Service([slow_plugin, guide_plugin, guided_plugin], tiny_catalog)
    finally:
        sys.path.remove(str(plugin_site))  # other tests are to see the usual plugins
    app = serve(service, prevent_thread_lock=True, server_port=free_port(), quiet=True)
    yield app.local_url
    app.close(verbose=False)
    forget()


@pytest.fixture(scope="session")
def client(app_url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    downloads = tmp_path_factory.mktemp("downloads")
    return Client(app_url, verbose=False, analytics_enabled=False, download_files=str(downloads))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
