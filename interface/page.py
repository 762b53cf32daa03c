"""The page: the editor, and beside it the list of models; the endpoints; what it runs on."""

from __future__ import annotations

import gradio as gr

from interface import batch_api, models_page, snippets
from interface.blocks import LimpidBlocks
from interface.cache import LIFETIME_S, SWEEP_S
from interface.editor import editor
from interface.endpoints import public_endpoints
from interface.pace import Pace
from interface.retrain import access as retrain
from interface.retrain.tab import retrain_tab
from interface.service import Service


def build(service: Service, pace: Pace | None = None) -> gr.Blocks:
    """Build the app. It sends no requests to other hosts. ``pace``: of the routes that estimate times."""
    with LimpidBlocks(
        title="Limpid", analytics_enabled=False, delete_cache=(SWEEP_S, LIFETIME_S), fill_width=True
    ) as page:
        places = [("models", "Models"), *([("retrain", "Retrain")] if retrain.wanted() else [])]
        shown = editor(service, places, pace or Pace())
        with place("models"):
            models_page.models_place(service, shown)
        if retrain.wanted():
            with place("retrain"):
                retrain_tab(service)
        with gr.Row(elem_id="footer-row"):
            footer = gr.HTML(snippets.footer_html(None), elem_id="footer")
            duplicate_button()
        page.load(
            lambda: snippets.footer_html(service.health()),
            None,
            footer,
            show_progress="hidden",
            api_visibility="private",
        )
        with gr.Column(visible=False):
            public_endpoints(service)
            if service.restorers:
                batch_api.add(service)
        json_endpoints(service)
    return page


def place(name: str) -> gr.Column:
    """Return a column that is shown in place of the editor where the address ends in ``#name``."""
    return gr.Column(elem_id=f"place-{name}", elem_classes="place")


def duplicate_button() -> None:
    """Make the button that duplicates the Space; elsewhere it says what it is for."""
    duplicate = gr.DuplicateButton("Duplicate", elem_id="duplicate", variant="secondary", size="sm")
    if gr.utils.get_space() is None:  # gradio's own action works on a Space only
        duplicate.click(
            lambda: gr.Info(
                "This copy runs on your own machine. On a Hugging Face Space, this button makes a copy of "
                "the Space in your account; docs/retrain.md says how to push one."
            ),
            api_visibility="private",
        )


def json_endpoints(service: Service) -> None:
    """Add /plugins, /models and /health, which return JSON and do not wait for runs."""

    def plugins() -> list[dict]:
        """Lists the plugins: what each does, its parameters, and why a disabled one is disabled."""
        return service.plugins()

    def models() -> list[dict]:
        """Lists the models: task, size, licence, measured quality, and whether each is on this machine."""
        return service.models()

    def health() -> dict:
        """Says whether the app is up, and its device, precision, attention backend and versions."""
        return service.health()

    for function in (plugins, models, health):
        gr.api(function, api_name=function.__name__, concurrency_limit=None)
