"""The page: a tab for each plugin, one for several steps, one for models and plugins."""

from __future__ import annotations

import gradio as gr

from interface import batch_api, models_page, snippets
from interface.blocks import LimpidBlocks
from interface.cache import LIFETIME_S, SWEEP_S
from interface.retrain import access as retrain
from interface.retrain.tab import retrain_tab
from interface.service import Service
from interface.tabs import chain_tab, fill_examples, guide_tab, restorer_tab, unusable_tab
from interface.theme import ON_LOAD, TOGGLE_THEME
from plugins.options import DEFAULT_STEP

LOGO = """<svg viewBox="0 0 48 48" role="img" aria-label=""><defs>
<linearGradient id="lg" x1="0" y1="0" x2="1" y2="1"><stop stop-color="#3cb6bf"/><stop offset="1" stop-color="#0f7a86"/>
</linearGradient></defs><rect x="3" y="3" width="42" height="42" rx="12" fill="url(#lg)"/>
<path d="M24 11c5.6 6.6 9 11.2 9 16a9 9 0 0 1-18 0c0-4.8 3.4-9.4 9-16z" fill="#fff" fill-opacity=".95"/>
<path d="M19.6 27.5a4.6 4.6 0 0 0 4.4 4.6" fill="none" stroke="#0f7a86" stroke-width="2" stroke-linecap="round"/>
<path d="M31 6.5 41.5 17M36.5 6.5 41.5 11.5" stroke="#fff" stroke-opacity=".55"
stroke-width="2" stroke-linecap="round"/>
</svg>"""
BRAND = f"""<div class="brand">{LOGO}<div><h1>Limpid</h1>
<p>Your picture back, without the reflection or the blur.</p></div></div>"""


def build(service: Service) -> gr.Blocks:
    """Build the app. It sends no requests to other hosts."""
    with LimpidBlocks(
        title="Limpid", analytics_enabled=False, delete_cache=(SWEEP_S, LIFETIME_S), fill_width=True
    ) as page:
        masthead()
        examples: dict[str, gr.Dataset] = {}  # by plugin
        with gr.Tabs(elem_id="places"):
            if DEFAULT_STEP in service.broken:
                with gr.Tab(DEFAULT_STEP.capitalize(), id=DEFAULT_STEP):
                    unusable_tab(service, DEFAULT_STEP)
            for plugin in service.restorers:
                with gr.Tab(plugin.manifest.name, id=plugin.manifest.id):
                    examples[plugin.manifest.id] = restorer_tab(service, plugin)
            if service.restorers:
                with gr.Tab("Several steps", id="steps"):
                    examples[""] = chain_tab(service)
            for plugin in service.guides:
                with gr.Tab(plugin.manifest.name, id=plugin.manifest.id):
                    examples[plugin.manifest.id] = guide_tab(service, plugin)
            with gr.Tab("Models and plugins", id="models") as tab:
                models_page.models_tab(service, tab)
            if retrain.wanted():
                with gr.Tab("Retrain", id="retrain"):
                    retrain_tab(service)
        footer = gr.HTML(snippets.footer_html(None), elem_id="footer")
        page.load(
            lambda: snippets.footer_html(service.health()),
            None,
            footer,
            show_progress="hidden",
            api_visibility="private",
            js=ON_LOAD,
        )
        if examples:
            rows = [*examples.values()]
            page.load(lambda: fill_examples([*examples]), None, rows, show_progress="hidden", api_visibility="private")
        if service.restorers:
            batch_api.add(service)
        json_endpoints(service)
    return page


def masthead() -> None:
    """Make the top of the page: name, theme button, button to duplicate the Space."""
    with gr.Row(elem_id="masthead"):
        gr.HTML(BRAND, padding=False)
        with gr.Row(elem_classes="tools"):
            gr.Button("Light / dark", size="sm", elem_id="theme-button").click(
                None, js=TOGGLE_THEME, api_visibility="private"
            )
            duplicate = gr.DuplicateButton("Duplicate", elem_id="duplicate", variant="secondary")
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
