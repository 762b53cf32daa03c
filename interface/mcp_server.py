"""The app as an MCP server: gradio's, with pictures as pictures, answers as JSON, and errors that name the fault."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio.mcp
import pyvips
from gradio.block_function import BlockFunction
from gradio.processing_utils import add_root_url, save_base64_to_cache
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.utils import is_file_obj_with_meta
from mcp import types

from interface.accounts import header
from interface.guard import argument_sentence

SHOWN_PX = 1024
"""Longest side of the picture that an answer shows; the result itself is behind its link."""
FILE_FORMAT = "a link (https://…), a data URL (data:image/png;base64,…) or the path of a file uploaded to this server"
FILE_PATH = "/gradio_api/file="


PICTURES = (".png", ".jpg", ".webp", ".tif")
"""Suffixes of results, as the host writes them."""


@dataclass(frozen=True)
class Shown:
    """An output that is a picture: its file, and a small JPEG of it."""

    file: dict[str, Any]
    jpeg: bytes


class McpServer(gradio.mcp.GradioMCPServer):
    """Gradio's MCP server; ``account`` is one by which it may call the app, where there are accounts."""

    account: tuple[str, str] | None = None

    @property
    def _file_data_tool_description(self) -> str:
        return f" A picture is given as {FILE_FORMAT}; the tool upload_file_to_gradio, where there is one, uploads it."

    def _get_or_create_client(self) -> Client:
        if self._client_instance is None and self.account:  # gradio's own would have no account
            self._client_instance = Client(
                self.local_url or "",
                download_files=False,
                verbose=False,
                analytics_enabled=False,
                _skip_components=False,
                headers={"x-gradio-user": "mcp", **header(self.account)},
            )
        return super()._get_or_create_client()

    def _prepare_tool_call_args(
        self, name: str, arguments: dict[str, Any]
    ) -> tuple[str, list[Any], dict[str, str], BlockFunction]:
        try:
            return super()._prepare_tool_call_args(name, arguments)
        except TypeError as error:
            raise ValueError(argument_sentence(str(error), name)) from error

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        (result,) = await super()._execute_tool_without_progress(job)
        outputs = result if isinstance(result, tuple) else (result,)  # a tuple: of several outputs
        return await asyncio.to_thread(lambda: list(map(with_picture, outputs)))

    async def _execute_tool_with_progress(self, job: Any, progress_token: str | int) -> Any:
        outputs = await super()._execute_tool_with_progress(job, progress_token)
        return await asyncio.to_thread(lambda: list(map(with_picture, outputs)))

    def simplify_filedata_schema(self, schema: dict[str, Any]) -> tuple[dict[str, Any], list[list[str | int]]]:
        """Return the schema with text in the place of files, and where these are."""
        simple, places = super().simplify_filedata_schema(schema)
        for place in places:
            node: Any = simple["properties"]
            for key in place:
                node = node[key]
            node["format"] = FILE_FORMAT
        return simple, places

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """Return the arguments with files in the place of text. Raises ValueError for text that names none."""

        def traverse(node: Any, path: list[str | int]) -> Any:
            if isinstance(node, dict):
                return {key: traverse(one, [*path, key]) for key, one in node.items()}
            if isinstance(node, list):
                return [traverse(one, [*path, "items"]) for one in node]
            return as_file(node) if isinstance(node, str) and path in filedata_positions else node

        return traverse(value, [])

    @staticmethod
    def pop_returned_state(components: Sequence[Any], data: Any) -> list[Any]:
        """Leave out the outputs that programs do not get."""
        if len(components) != len(data):
            return list(data)
        return [value for component, value in zip(components, data, strict=True) if not component.skip_api]

    def postprocess_output_data(self, data: Any, root_url: str) -> list[types.TextContent | types.ImageContent]:
        """Return the picture, and each output as JSON, with links to files."""
        parts: list[types.TextContent | types.ImageContent] = []
        for output in data:
            if isinstance(output, Shown):
                image = base64.b64encode(output.jpeg).decode()
                parts.append(types.ImageContent(type="image", data=image, mimeType="image/jpeg"))
            value = add_root_url(output.file if isinstance(output, Shown) else output, root_url, None)
            text = json.dumps(plain(value), ensure_ascii=False, default=str)
            parts.append(types.TextContent(type="text", text=text))
        return parts


def with_picture(output: Any) -> Any:
    """Return an output, together with a small JPEG of it if it is a picture."""
    if not (is_file_obj_with_meta(output) and Path(output["path"]).suffix in PICTURES and is_upload(output["path"])):
        return output
    small = pyvips.Image.thumbnail(output["path"], SHOWN_PX, height=SHOWN_PX, size="down", output_profile="srgb")
    if small.hasalpha():
        small = small.flatten(background=[255, 255, 255])
    return Shown(output, small.jpegsave_buffer(Q=88))


def as_file(text: str) -> Any:
    """Return the file that a text stands for, as gradio's client takes it. Raises ValueError.

    Only uploads are taken from this server's disk: a request must not name any other file of it.
    """
    if not text:
        return None
    if text.startswith("data:"):
        try:
            return handle_file(save_base64_to_cache(text, get_upload_folder()))
        except Exception as error:
            raise ValueError("The data URL could not be read: it must be data:image/…;base64,… .") from error
    link = urlsplit(text)
    path = unquote(link.path.partition(FILE_PATH)[2]) if FILE_PATH in link.path else text
    if is_upload(path):
        return handle_file(path)
    if link.scheme in ("http", "https"):
        return handle_file(text)
    raise ValueError(f"{text[:60]!r} names no picture: give {FILE_FORMAT}.")


def is_upload(path: str) -> bool:
    """Return whether a path names a file among gradio's uploads, or a result."""
    try:
        file = Path(path).resolve()
        return file.is_relative_to(Path(get_upload_folder()).resolve()) and file.is_file()
    except (OSError, ValueError):
        return False


def plain(value: Any) -> Any:
    """Return an output for JSON: files as their links and names."""
    if is_file_obj_with_meta(value):
        return {"url": value.get("url") or value["path"], "name": value.get("orig_name")}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def install() -> None:
    """Let gradio make servers of this class when it launches an app."""
    gradio.mcp.GradioMCPServer = McpServer  # type: ignore[misc]
