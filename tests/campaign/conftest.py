"""Short and long forms of the campaign: LIMPID_CAMPAIGN=long asks for the long one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.hub import Catalog
from tests.campaign.serving import Served, served
from tests.interface.conftest import plugin_folder  # noqa: F401

LONG = os.environ.get("LIMPID_CAMPAIGN") == "long"
long_only = pytest.mark.skipif(not LONG, reason="the long form: LIMPID_CAMPAIGN=long")
FILE = {"_type": "gradio.FileData"}


@pytest.fixture(scope="session")
def app(
    tiny_catalog: Catalog,
    plugin_folder: Path,  # noqa: F811
    tiny_pipeline: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The app with tiny models, in a process of its own."""
    listing = tiny_pipeline.parent / "catalog.toml"
    with served(listing, tmp_path_factory.mktemp("app"), plugin_folder) as running:
        yield running


def upload(url: str, name: str, data: bytes) -> dict[str, Any] | httpx.Response:
    """Upload a file; return it as a call takes it, or the answer that refused it."""
    answer = httpx.post(f"{url}gradio_api/upload", files={"files": (name, data)}, timeout=60)
    return {"path": answer.json()[0], "meta": FILE} if answer.status_code == 200 else answer


def call(url: str, endpoint: str, values: Any, how: str = "v2") -> tuple[int, bool, str]:
    """Call an endpoint; return the HTTP status, whether it succeeded, and the sentence of an error."""
    prefix = f"{url}gradio_api/call/v2/{endpoint}" if how == "v2" else f"{url}gradio_api/call/{endpoint}"
    started = httpx.post(prefix, json=values, timeout=60)
    if started.status_code != 200:
        return started.status_code, False, str(started.json()["error"])
    told = httpx.get(f"{prefix}/{started.json()['event_id']}", timeout=120).text
    event = [part for part in told.split("\n\n") if part.startswith(("event: complete", "event: error"))][-1]
    if event.startswith("event: complete"):
        return 200, True, ""
    return 200, False, str(json.loads(event.split("data: ", 1)[1])["error"])


def is_a_sentence(text: str) -> bool:
    """Whether an error says something to its reader: words that end with a full stop, no bare type or null."""
    words = text.split()
    good = len(words) >= 4 and len(text) < 1200 and bool(re.search(r"[.)]$", text))
    return good and "Something went wrong" not in text and "Traceback" not in text
