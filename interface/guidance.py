"""Controls of guidance in a restorer's tab: off, automatic, or edited tags and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from interface import jobs, snippets
from interface.controls import QUIET_EVENT, AnyDropdown, AnyRadio, PhotoInput
from models.errors import LimpidError
from plugins.registry import Loaded
from plugins.schema import FieldSpec

MODES = [("Off", "off"), ("Automatic", "automatic"), ("As edited", "edited")]


class GuidanceControls:
    """The controls of guidance.

    Without a guide, as for a restorer that takes no guidance, they are hidden and serve the API only.
    """

    def __init__(self, guide: Loaded | None, spec: dict[str, FieldSpec]) -> None:
        self.guide = guide
        help_mode, help_text = spec["guidance"].help, spec["guidance_text"].help
        with gr.Accordion("What the photo shows", open=False, visible=guide is not None, elem_classes="guidance"):
            self.mode = AnyRadio(
                MODES,
                value="off",
                label="Guidance",
                info="What is in the photo can steer how it is restored." if guide else help_mode,
            )
            with gr.Column(visible=False, elem_classes="shown") as self.more:
                vocabulary = getattr(guide.plugin, "vocabulary", None) if guide else None
                self.chips = AnyDropdown(
                    list(vocabulary()) if vocabulary else [],
                    value=[],
                    multiselect=True,
                    allow_custom_value=True,
                    label="Tags",
                    info="Suggested for your photo: take one out, or add another.",
                    elem_classes="tags",
                )
                self.source = gr.HTML("", padding=False)
                self.own = gr.Textbox(
                    label="In your own words", placeholder="a dog on the beach, sunset", max_lines=2, lines=1
                )
        self.text = gr.Textbox("", label="Guidance text", info=help_text, visible="hidden")

    @property
    def inputs(self) -> list[Any]:
        """The host's options ``guidance`` and ``guidance_text``, in that order."""
        return [self.mode, self.text]

    def follow(self, photo: PhotoInput, turns: dict[str, Any]) -> None:
        """Suggest tags for a new photo and when guidance is turned on; editing changes the mode to "edited".

        ``turns``: arguments of the events that use the model.
        """
        if self.guide is None:
            return
        self.mode.change(
            lambda mode: gr.Column(visible=mode != "off"), self.mode, self.more, queue=False, **QUIET_EVENT
        )
        for changed, kept in ((self.mode.input, True), (photo.change, False)):
            look, inputs = suggest(self.guide, kept), [photo, self.mode, self.chips]
            changed(look, inputs, [self.chips, self.source], **QUIET_EVENT, **turns)
        photo.change(lambda: "", None, self.own, queue=False, **QUIET_EVENT)  # which described another photo
        # In the browser, so that it takes effect before a button is pressed.
        gr.on([self.chips.input, self.own.input], None, None, self.mode, js="() => 'edited'", **QUIET_EVENT)

    def gather(self, button: gr.Button) -> Any:
        """Return an event of ``button`` that sets the guidance text from tags and words, for the run to follow."""
        return button.click(guidance_text, [self.mode, self.chips, self.own], self.text, queue=False, **QUIET_EVENT)


def guidance_text(mode: str, chips: Sequence[str] | None, own: str | None) -> str:
    """Return the guidance text from tags and words; empty unless the mode is "edited"."""
    return ", ".join([*(chips or []), *([own.strip()] if own and own.strip() else [])]) if mode == "edited" else ""


def suggest(guide: Loaded, kept: bool) -> Callable[..., Any]:
    """Return an event handler that runs the guide and returns its tags, and a line on the model.

    ``kept``: whether edited tags stay.
    """

    async def run_guide(photo: str | None, mode: str, chips: list[str] | None) -> tuple[Any, Any]:
        if not photo:
            return gr.Dropdown(value=[]), ""
        if mode == "off" or (kept and mode == "edited" and chips):
            return gr.skip(), gr.skip()
        try:
            answer = await jobs.follow(jobs.Job(photo, (guide.manifest.id,), guide=True), lambda _: None)
        except LimpidError as error:
            return gr.skip(), snippets.problem_html(str(error))
        found = answer["guidance"]
        return gr.Dropdown(value=[tag["name"] for tag in found["tags"]]), snippets.guidance_html(found)

    return run_guide
