"""One launched app for all these tests: a tiny model; plugins built in, installed, broken and slow, and a guide."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client

from benchmarks.speed import free_port
from models.hub import Catalog
from tests.interface.browsing import CHROMIUM, FAKE_CAMERA, PATIENCE_MS, Editor
from tests.plugins.packages import forget

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
id = "{}"
kind = "restore"
entry = "plugin:Slow"
name = "{}"
summary = "Waits."
order = {}
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
LOOKER_MANIFEST = """api = 1
id = "looker"
kind = "guide"
entry = "plugin:Looker"
name = "Looker"
summary = "Says what a photo shows."
guidance = ["caption", "tags"]
"""


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of plugins: ``slow``, ``waiting``, which is slow too and takes guidance, and ``looker``, a guide."""
    folder = tmp_path_factory.mktemp("more")
    guided = MANIFEST.format("waiting", "Waiting", 960) + 'guidance = ["tags", "caption"]\n'
    plugins = {
        "slow": (SLOW, MANIFEST.format("slow", "Slow", 950)),
        "waiting": (SLOW, guided),
        "looker": (LOOKER, LOOKER_MANIFEST),
    }
    for name, (code, manifest) in plugins.items():
        (folder / name).mkdir()
        (folder / name / "plugin.py").write_text(code)
        (folder / name / "plugin.toml").write_text(manifest)
    return folder


@pytest.fixture(scope="session")
def app_url(
    tiny_catalog: Catalog, plugin_folder: Path, plugin_site: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the running app."""
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    from interface.server import serve
    from interface.service import Service

    sys.path.insert(0, str(plugin_site))
    forget()
    try:
        service = Service([plugin_folder], tiny_catalog)
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; tests that use it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    playwright.expect.set_options(timeout=PATIENCE_MS / 3)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_CAMERA])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def one_page(browser: Any, app_url: str) -> Iterator[Editor]:
    """The editor in one page for many tests, since opening one takes seconds."""
    opened = Editor(browser, app_url)
    yield opened
    opened.close()


@pytest.fixture
def editor(one_page: Editor) -> Iterator[Editor]:
    """The editor without photos, in its first mode."""
    one_page.clear()
    yield one_page
    one_page.page.unroute_all()
    assert not one_page.problems and not one_page.strangers, one_page.problems + one_page.strangers


@pytest.fixture
def open_editor(browser: Any, app_url: str) -> Iterator[Callable[..., Editor]]:
    """Opens the editor in a page of its own, of a size, theme, language or address."""
    opened: list[Editor] = []

    def open_it(**options: Any) -> Editor:
        opened.append(Editor(browser, app_url, **options))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()
