"""The public endpoints: an event for each plugin, and /restore, on components that the page does not show.

An endpoint that takes pictures must be an event of components: gradio then checks that they are uploads. What the
editor shows is of its own (`editor`), and its runs go through the same functions of `api`.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from interface import api
from interface.controls import AnyDropdown, ParamsInput, PhotoInput, control
from interface.service import Service
from plugins.options import DEFAULT_STEP
from plugins.registry import Loaded
from plugins.schema import fields

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
"""Arguments of events that use a model: they run one after another."""


def public_endpoints(service: Service) -> None:
    """Make the endpoints of all plugins, those that cannot be used included, and /restore."""
    if DEFAULT_STEP in service.broken:
        _unusable(DEFAULT_STEP, service.reason(DEFAULT_STEP))
    for plugin in service.restorers:
        _restorer(plugin)
    if service.restorers:
        _chain(service.restorers)
    for plugin in service.guides:
        _guide(plugin)


def _restorer(plugin: Loaded) -> None:
    photo = PhotoInput(label="Photo")
    params = [control(field) for field in fields(plugin.Params)]
    inputs = [photo, *params, *_host_controls()]
    gr.Button().click(api.restorer(plugin), inputs, _outputs(), api_name=plugin.manifest.id, **ONE_AT_A_TIME)


def _chain(plugins: list[Loaded]) -> None:
    photo = PhotoInput(label="Photo")
    choices = [(plugin.manifest.name, plugin.manifest.id) for plugin in plugins]
    steps = AnyDropdown(choices, value=[DEFAULT_STEP], multiselect=True, allow_custom_value=True, label="Steps")
    params = ParamsInput({}, label="Params")
    inputs = [photo, steps, params, *_host_controls()]
    gr.Button().click(api.chain(plugins), inputs, _outputs(), api_name="restore", **ONE_AT_A_TIME)


def _unusable(plugin_id: str, reason: str) -> None:
    inputs = [PhotoInput(label="Photo"), *_host_controls()]
    gr.Button().click(api.unusable(plugin_id, reason), inputs, None, api_name=plugin_id)


def _guide(plugin: Loaded) -> None:
    inputs = [PhotoInput(label="Photo"), *(control(field) for field in fields(plugin.Params))]
    shown = gr.JSON(label="What the photo shows")
    gr.Button().click(api.guide(plugin), inputs, shown, api_name=plugin.manifest.id, **ONE_AT_A_TIME)


def _host_controls() -> list[Any]:
    """Make a component for each of the host's options, in the order of the API."""
    return [
        PhotoInput(label="Mask") if field.kind == "path" else control(field, label=field.label)
        for field in api.host_fields()
    ]


def _outputs() -> list[Any]:
    """Make the components of what a restoring endpoint returns."""
    return [
        gr.File(label="Restored picture", interactive=False),
        gr.JSON(label="Run record"),
        gr.Gallery(label="Removed layers", interactive=False),
    ]
