"""Form controls: gradio's own, except that they hand on what they were given.

Gradio checks values inside its components, in its own words or (for pictures) with none at all. Ours are
checked once, by the host, so that page, API, MCP and command line answer alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio import component_meta
from gradio.data_classes import ImageData
from gradio_client.utils import is_file_obj_with_meta
from pydantic import ValidationInfo, model_validator

if TYPE_CHECKING:
    from plugins.schema import FieldSpec

MAX_SLIDER_SPAN = 10_000
"""A number with a wider range, such as a seed, is typed and has no slider."""
QUIET_EVENT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Arguments of an event of the page that is no endpoint and shows no progress."""

# Gradio writes a .pyi file beside each source of component classes, when it is imported; ours are to stay clean.
_write_stub, component_meta.create_or_modify_pyi = component_meta.create_or_modify_pyi, lambda *_: None


class Upload(ImageData):
    """A picture as a request names it. Gradio checks that a path lies among the uploads only where the mark in
    `meta` is set, and does not insist on the mark for images: a request could name any file of the server."""

    @model_validator(mode="before")
    @classmethod
    def only_uploads(cls, value: Any, info: ValidationInfo) -> Any:
        """From a request, what is no upload loses its path (said in `preprocess`: an error here has no words)."""
        asked = info.context and info.context.get("validate_meta")
        return {} if asked and not is_file_obj_with_meta(value) else value


class PhotoInput(gr.Image):
    """An image input that gives the path of the untouched upload, readable or not."""

    is_template = True  # the browser's side is gr.Image's
    data_model = Upload

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None:
            return None
        if not payload.path:
            raise gr.Error(
                "A picture must be an uploaded file or a link to one (in Python: gradio_client.handle_file).",
                print_exception=False,
            )
        return payload.path


class BeforeAfter(gr.ImageSlider):
    """A slider between two previews: an output of a run that the page shows and the API leaves out."""

    is_template = True

    @property
    def skip_api(self) -> bool:
        """Whether clients and MCP tools leave this output out."""
        return True


class AnyDropdown(gr.Dropdown):
    """A list of choices that passes an unknown one on, to be refused by name further in."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class AnyRadio(gr.Radio):
    """Choices shown side by side; an unknown one is refused further in."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class AnySlider(gr.Slider):
    """A slider that passes a number out of its range on, to be refused in words further in."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class AnyNumber(gr.Number):
    """A number field; bounds and kind are checked further in."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


component_meta.create_or_modify_pyi = _write_stub


def control(field: FieldSpec, **extra: Any) -> gr.components.Component:
    """The control for one field of a plugin's Params (or of the host's options)."""
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
