"""The app as an MCP server, used by the reference client."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from jsonschema import Draft202012Validator
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

from tests.aside import run_aside
from tests.interface import files


async def with_session(url: str, action: Any) -> Any:
    async with (
        streamablehttp_client(f"{url.rstrip('/')}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        return await action(session)


def call_tools(url: str, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """The answers to calls of tools: each its name and its arguments."""

    async def call(session: ClientSession) -> list[Any]:
        return [await session.call_tool(name, given) for name, given in calls]

    return list(run_aside(with_session(url, call)))


def encoded(folder: Path) -> str:
    """A photo as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(files.photo(folder).read_bytes()).decode()}"


def test_tools_say_what_the_plugins_say(app_url: str) -> None:
    listed = run_aside(with_session(app_url, lambda session: session.list_tools()))
    tools = {tool.name: tool for tool in listed.tools}
    assert {"dereflection", "restore", "invert", "looker", "plugins", "models", "health"} <= set(tools)
    invert = tools["invert"]
    assert "negative" in invert.description
    properties = invert.inputSchema["properties"]
    assert properties["amount"]["description"].startswith("How far towards the negative.")
    assert properties["channel"]["enum"] == ["all", "red", "green", "blue"]
    assert "white is restored" in properties["mask"]["description"]
    assert invert.inputSchema["required"] == ["image"]


def test_every_tool_has_a_valid_schema_and_can_be_called(app_url: str, tmp_path: Path) -> None:
    photo = base64.b64encode(files.photo(tmp_path).read_bytes()).decode()
    more = {"restore": {"steps": ["dereflection"], "params": {"dereflection": {"keep_layer": False}}}, "slow": {}}

    async def call(session: ClientSession) -> dict[str, Any]:
        answers = {}
        for tool in (await session.list_tools()).tools:
            Draft202012Validator.check_schema(tool.inputSchema)
            asked = more.get(tool.name, {})
            if "image" in tool.inputSchema.get("properties", {}):
                asked = {"image": f"data:image/png;base64,{photo}", **asked}
            if "images" in tool.inputSchema.get("properties", {}):
                asked = {"images": [f"data:image/png;base64,{photo}"]}
            Draft202012Validator(tool.inputSchema).validate(asked)
            answers[tool.name] = await session.call_tool(tool.name, asked)
        return answers

    answers = run_aside(with_session(app_url, call))
    assert {"dereflection", "deblur", "restore", "invert", "looker", "plugins", "models", "health"} <= set(answers)
    for name, answer in answers.items():
        assert not answer.isError, (name, answer.content)
    assert values_of(answers["restore"])[1]["params"]["keep_layer"] is False


def picture_of(answer: Any) -> Image.Image:
    """The picture of an answer; all its other parts must be JSON."""
    assert not answer.isError, answer.content
    (picture,) = [part for part in answer.content if part.type == "image"]
    assert picture.mimeType == "image/jpeg"
    return Image.open(io.BytesIO(base64.b64decode(picture.data)))


def values_of(answer: Any) -> list[Any]:
    """What an answer says besides its picture."""
    return [json.loads(part.text) for part in answer.content if part.type == "text"]


def test_a_photo_comes_back_as_a_picture_and_json(app_url: str, tmp_path: Path) -> None:
    (answer,) = call_tools(app_url, ("dereflection", {"image": encoded(tmp_path), "strength": 0.5}))
    file, record, layers = values_of(answer)
    assert picture_of(answer).size == files.SIZE
    assert file["name"].endswith("-restored.png") and httpx.get(file["url"]).content.startswith(b"\x89PNG")
    assert record["model"] == "dereflection-small" and record["params"]["strength"] == 0.5
    assert [layer["caption"] for layer in layers] == ["reflection"] and layers[0]["image"]["url"].startswith("http")


def test_a_picture_is_taken_as_an_upload_too(app_url: str, tmp_path: Path) -> None:
    photo = files.photo(tmp_path, "window.png")
    (path,) = httpx.post(f"{app_url}gradio_api/upload", files={"files": ("window.png", photo.read_bytes())}).json()
    link = f"{app_url}gradio_api/file={path}"  # what gradio's tool for uploads returns
    calls = [("dereflection", {"image": path}), ("dereflection", {"image": link})]
    calls.append(("batch", {"images": [path, encoded(tmp_path)], "steps": ["dereflection"]}))
    *single, several = call_tools(app_url, *calls)
    for answer in single:
        assert picture_of(answer).size == files.SIZE and values_of(answer)[0]["name"] == "window-restored.png"
    made, packed, rows = values_of(several)
    assert [row["state"] for row in rows] == ["restored"] * 2 and len(made) == 2 and packed["name"] == "restored.zip"


def test_a_deep_picture_is_shown_too(app_url: str, tmp_path: Path) -> None:
    deep, _ = files.odd("deep", tmp_path)  # 16 bits
    url = f"data:image/png;base64,{base64.b64encode(deep.read_bytes()).decode()}"
    (answer,) = call_tools(app_url, ("dereflection", {"image": url, "strength": 0}))
    with Image.open(deep) as given:
        wanted = np.asarray(given, np.float32).mean() / 257
        assert picture_of(answer).size == given.size
    assert abs(np.asarray(picture_of(answer).convert("L"), np.float32).mean() - wanted) < 3


def test_installed_restorers_and_guides_are_called(app_url: str, tmp_path: Path) -> None:
    given = {"image": encoded(tmp_path)}
    answers = call_tools(app_url, ("invert", given), ("looker", {**given, "most": 1}))
    for answer, word in zip(answers, ("-restored.png", "a wall"), strict=True):
        assert not answer.isError and word in json.dumps(values_of(answer))


def test_a_file_of_the_server_is_refused(app_url: str, tmp_path: Path) -> None:
    secret = str(files.photo(tmp_path, "secret.png"))
    (answer,) = call_tools(app_url, ("dereflection", {"image": secret}))
    assert answer.isError and "-restored.png" not in answer.content[0].text


def test_a_wrong_value_is_told_to_the_tool_user(app_url: str, tmp_path: Path) -> None:
    (answer,) = call_tools(app_url, ("dereflection", {"image": encoded(tmp_path), "strength": 9}))
    assert answer.isError and "strength" in answer.content[0].text


def test_a_wrong_argument_is_named(app_url: str, tmp_path: Path) -> None:
    image = encoded(tmp_path)
    misspelt, missing, nothing = call_tools(
        app_url,
        ("dereflection", {"image": image, "strenght": 1}),
        ("dereflection", {}),
        ("dereflection", {"image": "x"}),
    )
    assert misspelt.isError and "no argument 'strenght' of /dereflection" in misspelt.content[0].text
    assert missing.isError and "'image'" in missing.content[0].text
    assert nothing.isError and "'x' names no picture: give a link" in nothing.content[0].text
