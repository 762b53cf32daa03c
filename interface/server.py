"""Serving of page, API and MCP tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr

from interface import page
from interface.cache import keep_swept
from interface.service import Service
from interface.theme import CSS, HEAD, theme

MAX_QUEUED_JOBS = 24
MAX_UPLOAD_SIZE = "200mb"


def serve(service: Service | None = None, **changes: Any) -> gr.Blocks:
    """Build the app and launch it; `changes` go to gradio's launch().

    It listens on 127.0.0.1:7860, on a Space on all addresses, unless GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say
    otherwise.
    """
    service = service or Service()
    app = page.build(service)
    app.queue(max_size=MAX_QUEUED_JOBS)
    launch(app, **{"prevent_thread_lock": True, **changes})
    service.warm_up()  # last, so that the page answers before torch is imported
    keep_swept()
    if not changes.get("prevent_thread_lock"):
        app.block_thread()
    return app


def launch(app: gr.Blocks, **changes: Any) -> None:
    """Launch the app with the project's options; `changes` override them."""
    on_space = "SPACE_ID" in os.environ
    options: dict[str, Any] = {
        "server_name": os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_space else "127.0.0.1"),
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "mcp_server": True,
        "max_file_size": MAX_UPLOAD_SIZE,
        "favicon_path": Path(__file__).parent / "favicon.png",
        "share": False,
        "pwa": False,
        "ssr_mode": False,
        "footer_links": ["api", "settings"],
        "run_history": False,
    }
    app.launch(**{**options, **changes})
