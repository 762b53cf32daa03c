"""The tabs of plugins: photo and controls on the left, the result on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from interface import api, mask, snippets
from interface.controls import QUIET_EVENT, AnyDropdown, BeforeAfter, ParamsInput, PhotoInput, control
from interface.examples import photos
from interface.guidance import GuidanceControls
from interface.result_view import on_upload, show_result
from interface.service import Service
from plugins.options import DEFAULT_STEP
from plugins.registry import Loaded
from plugins.schema import fields

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
"""Arguments of events that use a model: they run one after another."""
PLACEHOLDER = "Drop a photo here, or paste one\nJPEG, PNG, HEIC, TIFF, WebP …"


@dataclass(frozen=True)
class Outputs:
    """The components on the right-hand side of a tab."""

    slider: BeforeAfter
    summary: gr.HTML
    download: gr.DownloadButton
    file: gr.File
    record: gr.JSON
    layers: gr.Gallery

    @property
    def endpoint(self) -> list[Any]:
        """What a restoring endpoint returns; the API leaves the slider out."""
        return [self.file, self.record, self.layers, self.slider]

    @property
    def shown(self) -> list[Any]:
        """What `show_result` returns."""
        return [self.summary, self.download]


def restorer_tab(service: Service, plugin: Loaded) -> gr.Dataset:
    """Make the tab and endpoint of a restorer; return its row of examples."""
    own = fields(plugin.Params)
    with gr.Row(elem_classes="bench"):
        with gr.Column(scale=5, min_width=320, elem_classes="left"):
            lead(plugin.manifest.summary)
            photo, about = photo_input()
            params = [control(field) for field in own]
            host, guidance = host_controls(service.model_ids(plugin), photo, service.guides_of([plugin]))
            go, stop = buttons("Restore photo")
            examples = example_row(photo, plugin.manifest.id)
        outputs = result_side()
    run = guidance.gather(go).success(
        api.restorer(plugin),
        [photo, *params, *host],
        outputs.endpoint,
        api_name=plugin.manifest.id,
        show_progress_on=[outputs.slider],
        **ONE_AT_A_TIME,
    )
    wire(stop, run, outputs)
    guidance.follow(photo, ONE_AT_A_TIME)
    photo.change(on_upload(service, [plugin.manifest.id]), photo, about, queue=False, **QUIET_EVENT)
    return examples


def chain_tab(service: Service) -> gr.Dataset:
    """Make the tab for several restorers, and the /restore endpoint; return its row of examples."""
    plugins = service.restorers
    with gr.Row(elem_classes="bench"):
        with gr.Column(scale=5, min_width=320, elem_classes="left"):
            lead("Several restorers on one photo, in the order you pick them. The photo is read and written once.")
            photo, about = photo_input()
            steps = AnyDropdown(
                [(plugin.manifest.name, plugin.manifest.id) for plugin in plugins],
                value=[DEFAULT_STEP],
                allow_custom_value=True,  # the default step is shown, and refused, even where it cannot be used
                multiselect=True,
                label="Steps, in order",
            )
            params = ParamsInput({}, label="Params", visible="hidden")
            owned: list[tuple[str, str, Any]] = []
            for plugin in plugins:
                own = fields(plugin.Params)
                if own:
                    with gr.Accordion(plugin.manifest.name, open=False):
                        owned += [(plugin.manifest.id, field.name, control(field)) for field in own]
            models = [choice for plugin in plugins for choice in service.model_ids(plugin)]
            host, guidance = host_controls(models, photo, service.guides_of(plugins))
            go, stop = buttons("Restore photo")
            examples = example_row(photo)
        outputs = result_side()
    parts = [part for _, _, part in owned]
    ready = guidance.gather(go).success(gather(owned), [steps, *parts], params, queue=False, **QUIET_EVENT)
    run = ready.success(
        api.chain(plugins),
        [photo, steps, params, *host],
        outputs.endpoint,
        api_name="restore",
        show_progress_on=[outputs.slider],
        **ONE_AT_A_TIME,
    )
    wire(stop, run, outputs)
    guidance.follow(photo, ONE_AT_A_TIME)
    photo.change(on_upload(service, [DEFAULT_STEP]), photo, about, queue=False, **QUIET_EVENT)
    return examples


def unusable_tab(service: Service, plugin_id: str) -> None:
    """Make the tab and endpoint of a restorer that cannot be used; both say why, and nothing stands in for it."""
    reason = service.reason(plugin_id)
    gr.HTML(snippets.problem_html(reason), padding=False)
    spec = [control(field, visible="hidden") for field in api.host_fields() if field.kind != "path"]
    photo, area = (PhotoInput(label=label, visible="hidden") for label in ("Photo", "Mask"))
    host = [*spec[:3], area, *spec[3:]]
    run = gr.Button("Restore photo", visible="hidden")
    run.click(api.unusable(plugin_id, reason), [photo, *host], None, api_name=plugin_id)


def guide_tab(service: Service, plugin: Loaded) -> gr.Dataset:
    """Make the tab and endpoint of a guide; return its row of examples."""
    with gr.Row(elem_classes="bench"):
        with gr.Column(scale=5, min_width=320, elem_classes="left"):
            lead(plugin.manifest.summary)
            photo, about = photo_input()
            params = [control(field) for field in fields(plugin.Params)]
            go, stop = buttons("Look at the photo")
            examples = example_row(photo)
        with gr.Column(scale=7, min_width=320):
            shown = gr.HTML(snippets.guidance_html(None), elem_classes="summary", padding=False)
            guidance = gr.JSON(label="What the photo shows")
    run = go.click(api.guide(plugin), [photo, *params], guidance, api_name=plugin.manifest.id, **ONE_AT_A_TIME)
    run.success(snippets.guidance_html, guidance, shown, queue=False, **QUIET_EVENT)
    let_cancel(stop, run)
    photo.change(on_upload(service), photo, about, queue=False, **QUIET_EVENT)
    return examples


def lead(text: str) -> None:
    """Make the introductory line of a tab."""
    gr.HTML(f'<p class="lead">{snippets.escape(text)}</p>', padding=False)


def photo_input() -> tuple[PhotoInput, gr.HTML]:
    """Make the photo input and the line of facts below it."""
    photo = PhotoInput(
        label="Photo",
        sources=["upload", "clipboard", "webcam"],
        height=330,
        buttons=["fullscreen"],
        placeholder=PLACEHOLDER,
        elem_classes="photo",
    )
    return photo, gr.HTML("", elem_classes="about", padding=False)


def host_controls(
    models: Sequence[tuple[str, str]], photo: PhotoInput, guides: Sequence[Loaded]
) -> tuple[list[Any], GuidanceControls]:
    """Controls of the host's options, in the order of the API; those of guidance by themselves, too."""
    spec = {field.name: field for field in api.host_fields()}
    strength = control(spec["strength"], info="0 is the photo itself, 1 takes out all that was found.")
    guidance = GuidanceControls(guides[0] if guides else None, spec)
    with gr.Accordion("Only a part of the photo", open=False) as part:
        area = mask.control(photo, part)
    with gr.Accordion("Model, format and metadata", open=False):
        choices = [("The usual one", api.DEFAULT_MODEL), *models]
        model = AnyDropdown(choices, value=api.DEFAULT_MODEL, label="Model")
        form = control(spec["format"], label="Format of the result", info="PNG, WebP and TIFF lose nothing.")
        keep = control(
            spec["keep_metadata"],
            label="Metadata to keep",
            info="Camera data (EXIF) of the original. The location is kept only with “all”.",
        )
        seed = control(spec["seed"], info="Same photo, same seed: same bytes.")
    return [strength, model, seed, area, form, keep, *guidance.inputs], guidance


def buttons(label: str) -> tuple[gr.Button, gr.Button]:
    """Make the buttons to start and to cancel a run."""
    with gr.Row(elem_classes="go"):
        go = gr.Button(label, variant="primary", size="lg", scale=4, elem_classes="restore")
        stop = gr.Button(
            "Cancel", variant="secondary", size="lg", scale=1, min_width=90, interactive=False, elem_classes="cancel"
        )
    # Must be the first event of the button: the browser sends the next one once this is answered.
    go.click(lambda: gr.Button(interactive=True), None, stop, queue=False, **QUIET_EVENT)
    return go, stop


def example_row(photo: PhotoInput, plugin: str = "") -> gr.Dataset:
    """Make the row of example photos of a plugin (its id); `fill_examples` fills it."""
    row = gr.Dataset(
        components=[PhotoInput(visible=False, label="Example")],
        samples=[],
        layout="gallery",
        label="Or try one of these",
        type="index",
        elem_classes="examples",
        visible=False,
    )
    row.click(lambda index: str(photos(plugin)[index]), row, photo, **QUIET_EVENT)
    return row


def fill_examples(plugins: list[str]) -> list[gr.Dataset]:
    """Make the example photos of plugins; return the values of their rows."""
    made = [photos(plugin) for plugin in plugins]
    return [gr.Dataset(samples=[[str(path)] for path in paths], visible=bool(paths)) for paths in made]


def result_side() -> Outputs:
    """Make the right-hand side of a restorer's tab."""
    with gr.Column(scale=7, min_width=320, elem_classes="right"):
        slider = BeforeAfter(
            label="Before and after",
            type="filepath",
            interactive=False,
            height=560,
            max_height=560,
            buttons=["fullscreen"],
            elem_classes="compare",
            slider_position=50,
        )
        summary = gr.HTML(snippets.summary_html(None), elem_classes="summary", padding=False)
        download = gr.DownloadButton(
            "Download the result", interactive=False, size="lg", variant="secondary", elem_classes="download"
        )
        with gr.Accordion("What was taken out", open=True, elem_classes="removed"):
            layers = gr.Gallery(
                label="Removed layers",
                show_label=False,
                columns=3,
                height=230,
                preview=False,
                object_fit="contain",
                buttons=["download", "fullscreen"],
                interactive=False,
            )
        with gr.Accordion("Run record", open=False):
            record = gr.JSON(label="Run record", show_label=False)
        file = gr.File(label="Restored picture", visible="hidden", interactive=False)
    return Outputs(slider, summary, download, file, record, layers)


def wire(stop: gr.Button, run: Any, outputs: Outputs) -> None:
    """Show the result after a run; let the cancel button end it."""
    run.success(show_result, [outputs.file, outputs.record], outputs.shown, queue=False, **QUIET_EVENT)
    let_cancel(stop, run)


def let_cancel(stop: gr.Button, run: Any) -> None:
    """Let the cancel button end the run, and disable it afterwards (`buttons` enables it)."""
    for over in (run.success, run.failure):
        over(lambda: gr.Button(interactive=False), None, stop, queue=False, **QUIET_EVENT)
    stop.click(lambda: gr.Button(interactive=False), None, stop, cancels=[run], queue=False, **QUIET_EVENT)


def gather(owned: Sequence[tuple[str, str, Any]]) -> Callable[..., dict[str, dict[str, Any]]]:
    """Return an event handler that collects the values of controls as params by restorer, of the chosen steps."""

    def collect(steps: list[str], *values: Any) -> dict[str, dict[str, Any]]:
        result: dict[str, dict[str, Any]] = {}
        for (plugin_id, name, _), value in zip(owned, values, strict=True):
            if plugin_id in steps:
                result.setdefault(plugin_id, {})[name] = value
        return result

    return collect
