"""Form controls: gradio's, without their validation of values.

Gradio validates inside of components, with messages of its own or (for pictures) none. Here the host validates, so that
page, API, MCP and command line give the same messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio import component_meta
from gradio.data_classes import FileData, ImageData, ListFiles
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like
from pydantic import ValidationInfo, model_validator

from interface import cache, links
from interface.blocks import NOT_AN_UPLOAD, problem
from interface.settings import MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from plugins.schema import FieldSpec

MAX_SLIDER_SPAN = 10_000
"""A number with a wider range, such as a seed, is typed and has no slider."""
QUIET_EVENT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Arguments of an event of the page that is no endpoint and shows no progress."""

# At import, gradio writes a .pyi file beside each module with component classes; not into this repository.
_write_stub, component_meta.create_or_modify_pyi = component_meta.create_or_modify_pyi, lambda *_: None


class Upload(ImageData):
    """The image of a request.

    Gradio checks that a path is an upload only if `meta` marks it as a file, and does not require that mark of images:
    a request could name any file of the server.
    """

    @model_validator(mode="before")
    @classmethod
    def only_uploads(cls, value: Any, info: ValidationInfo) -> Any:
        """Drop the path of what is no upload; `preprocess` raises for it, since errors here are shown without text."""
        asked = info.context and info.context.get("validate_meta")
        return {} if asked and not is_file_obj_with_meta(value) else value


async def kept(
    component: gr.components.Component, file: str | Path | None, keep: Callable[[Any], Awaitable[str | None]]
) -> str | None:
    """Return a request's file in gradio's cache: a link is downloaded, others are left to ``keep``, gradio's own way.

    Raises LimpidError.
    """
    if not (isinstance(file, str) and is_http_url_like(file)):
        return await keep(file)
    await asyncio.to_thread(cache.require_room)
    return str(await links.download(file, Path(component.GRADIO_CACHE), MAX_UPLOAD_BYTES))


class PhotoInput(gr.Image):
    """An image input whose value is the path of the unchanged upload, even if it cannot be read."""

    is_template = True  # the front end is that of gr.Image
    data_model = Upload

    def preprocess(self, payload: ImageData | None) -> str | None:
        """Return the path. Raises gr.Error if the image is no upload."""
        if payload is None:
            return None
        if not payload.path:
            raise problem(NOT_AN_UPLOAD)
        return payload.path

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Return the file; a link is downloaded into gradio's cache. Raises LimpidError."""
        return await kept(self, url_or_file_path, super().async_move_resource_to_block_cache)


class PhotosInput(gr.File):
    """An input of several photos, whose value is the paths of the unchanged uploads."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        """Return the JSON schema, without the references of gr.File's, which MCP clients cannot follow."""
        return {"type": "array", "items": ImageData.model_json_schema()}

    def preprocess(self, payload: ListFiles | FileData | None) -> list[str] | None:
        """Return the paths; gradio checks that they are uploads."""
        if payload is None:
            return None
        return [one.path for one in (payload if isinstance(payload, ListFiles) else [payload])]

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Return the file; a link is downloaded into gradio's cache. Raises LimpidError."""
        return await kept(self, url_or_file_path, super().async_move_resource_to_block_cache)


class AnyDropdown(gr.Dropdown):
    """A list of choices that passes any value on; the host validates it."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """Return the value as it is."""
        return payload


class AnyRadio(gr.Radio):
    """Radio buttons that pass any value on; the host validates it."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """Return the value as it is."""
        return payload


class AnySlider(gr.Slider):
    """A slider that passes any value on; the host validates it."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """Return the value as it is."""
        return payload


class AnyNumber(gr.Number):
    """A number field that passes any value on; the host validates it."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """Return the value as it is."""
        return payload


class ParamsInput(gr.JSON):
    """Parameters by restorer. Its schema is one that MCP clients accept, which gr.JSON's is not."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {}}}


component_meta.create_or_modify_pyi = _write_stub


def control(field: FieldSpec, **extra: Any) -> gr.components.Component:
    """Return the control of a field of a plugin's Params or of the host's options; `extra` goes to the component."""
    label = extra.pop("label", field.label or field.name.replace("_", " ").capitalize())
    common: dict[str, Any] = {"label": label, "info": extra.pop("info", field.help or None), **extra}
    if field.kind == "bool":
        return gr.Checkbox(value=bool(field.default), **common)
    if field.choices:
        choices = [(str(choice).replace("_", " "), choice) for choice in field.choices]
        if len(choices) <= 4:
            return AnyRadio(choices, value=field.default, **common)
        return AnyDropdown(choices, value=field.default, **common)
    if field.kind in ("int", "float"):
        whole = field.kind == "int"
        low, high = field.minimum, field.maximum
        if low is None or high is None or high - low > MAX_SLIDER_SPAN:
            return AnyNumber(value=field.default, precision=0 if whole else None, **common)
        step = 1 if whole else (0.01 if high - low <= 2 else (high - low) / 200)
        return AnySlider(low, high, value=field.default, step=step, **common)
    return gr.Textbox(value=field.default, **common)
