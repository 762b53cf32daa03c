"""The app as an MCP server, used by the reference client."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

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

    return list(asyncio.run(with_session(url, call)))


def encoded(folder: Path) -> str:
    """A photo as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(files.photo(folder).read_bytes()).decode()}"


def test_tools_say_what_the_plugins_say(app_url: str) -> None:
    listed = asyncio.run(with_session(app_url, lambda session: session.list_tools()))
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
            Draft202012Validator(tool.inputSchema).validate(asked)
            answers[tool.name] = await session.call_tool(tool.name, asked)
        return answers

    answers = asyncio.run(with_session(app_url, call))
    assert {"dereflection", "deblur", "restore", "invert", "looker", "plugins", "models", "health"} <= set(answers)
    for name, answer in answers.items():
        assert not answer.isError, (name, answer.content)
    said = " ".join(part.text for part in answers["restore"].content if part.type == "text")
    assert '"keep_layer": false' in said or "'keep_layer': False" in said


def test_a_photo_through_the_tool(app_url: str, tmp_path: Path) -> None:
    (answer,) = call_tools(app_url, ("dereflection", {"image": encoded(tmp_path), "strength": 0.5}))
    text = " ".join(part.text for part in answer.content if part.type == "text")
    assert not answer.isError and "-restored.png" in text and "dereflection-small" in text


def test_installed_restorers_and_guides_are_called(app_url: str, tmp_path: Path) -> None:
    given = {"image": encoded(tmp_path)}
    answers = call_tools(app_url, ("invert", given), ("looker", {**given, "most": 1}))
    for answer, word in zip(answers, ("-restored.png", "a wall"), strict=True):
        assert not answer.isError and word in " ".join(part.text for part in answer.content if part.type == "text")


def test_a_file_of_the_server_is_refused(app_url: str, tmp_path: Path) -> None:
    secret = str(files.photo(tmp_path, "secret.png"))
    (answer,) = call_tools(app_url, ("dereflection", {"image": secret}))
    assert answer.isError and "-restored.png" not in answer.content[0].text


def test_a_wrong_value_is_told_to_the_tool_user(app_url: str, tmp_path: Path) -> None:
    (answer,) = call_tools(app_url, ("dereflection", {"image": encoded(tmp_path), "strength": 9}))
    assert answer.isError and "strength" in answer.content[0].text
