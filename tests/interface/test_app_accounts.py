"""LIMPID_AUTH: without an account nothing is answered, MCP included; with one everything works."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from interface.accounts import header, user_of
from tests.aside import run_aside
from tests.campaign.serving import Served, served
from tests.interface import files

ACCOUNTS = (("ann", "pass:word"), ("böb", "gehäim"))


def test_only_a_whole_and_right_header_proves_an_account() -> None:
    assert user_of({"authorization": header(ACCOUNTS[0])["Authorization"]}, ACCOUNTS) == "ann"
    assert user_of({"authorization": header(ACCOUNTS[1])["Authorization"]}, ACCOUNTS) == "böb"
    raw = base64.b64encode(b"ann:pass").decode()
    for wrong in (
        "",
        "Basic",
        "Basic !!",
        f"Basic {raw}",
        f"Bearer {raw}",
        "Basic /w==",
        header(("ann", "gehäim"))["Authorization"],
    ):
        assert user_of({"authorization": wrong}, ACCOUNTS) is None


@pytest.fixture(scope="module")
def closed_app(tiny_catalog: Any, tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    listing = tiny_pipeline.parent / "catalog.toml"
    with served(listing, tmp_path_factory.mktemp("closed"), env={"LIMPID_AUTH": "ann:pass:word, bob:x"}) as app:
        yield app


async def tools(app: Served, headers: dict[str, str], photo: str) -> Any:
    async with (
        streamablehttp_client(f"{app.url}gradio_api/mcp/", headers=headers) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        return await session.call_tool("dereflection", {"image": photo})


@pytest.mark.slow
def test_nothing_is_answered_without_an_account(closed_app: Served) -> None:
    for place in ("", "config", "gradio_api/info", "gradio_api/mcp/", "gradio_api/upload", "theme.css", "static/x"):
        for method in ("GET", "POST"):
            answer = httpx.request(method, f"{closed_app.url}{place}")
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Basic"), place
            assert "account" in answer.json()["detail"]
            wrong = httpx.request(method, f"{closed_app.url}{place}", auth=("ann", "x"))
            assert wrong.status_code == 401
    assert httpx.get(f"{closed_app.url}health").json()["status"] == "ok"
    with pytest.raises(BaseExceptionGroup):  # the MCP library's
        run_aside(tools(closed_app, {}, ""))


@pytest.mark.slow
def test_page_api_and_mcp_work_with_an_account(closed_app: Served, tmp_path: Path) -> None:
    photo = files.photo(tmp_path)
    assert "Limpid" in httpx.get(closed_app.url, auth=("ann", "pass:word")).text
    client = Client(closed_app.url, headers=header(("bob", "x")), verbose=False, analytics_enabled=False)
    file, record, _ = client.predict(image=handle_file(str(photo)), api_name="/dereflection")
    assert record["model"] == "dereflection-small" and Path(file).is_file()
    sent = f"data:image/png;base64,{base64.b64encode(photo.read_bytes()).decode()}"
    answer = run_aside(tools(closed_app, header(("ann", "pass:word")), sent))
    assert not answer.isError and "-restored.png" in " ".join(
        part.text for part in answer.content if part.type == "text"
    )
