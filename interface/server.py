"""Serving of page, API and MCP tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from interface import page
from interface.cache import choose_folder, keep_swept
from interface.guard import Guard, malformed, refused
from interface.service import Service
from interface.settings import MAX_UPLOAD_BYTES, Settings, settings
from interface.theme import CSS, HEAD, theme

SESSIONS_KEPT = 64
"""Sessions whose state gradio keeps, about a third of a megabyte each; every call of a program is one. A page that is
left out keeps nothing but whether its mask editor is open, and goes on."""


def serve(service: Service | None = None, **changes: Any) -> gr.Blocks:
    """Build the app and launch it; `changes` go to gradio's launch().

    It listens on 127.0.0.1:7860, on a Space on all addresses, unless GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say
    otherwise.
    """
    limits = settings()
    choose_folder()
    service = service or Service()
    app = page.build(service)
    app.queue(max_size=limits.queue, api_open=False)  # not open: every run waits its turn
    launch(app, service, limits, **{"prevent_thread_lock": True, **changes})
    service.warm_up()  # last, so that the page answers before torch is imported
    keep_swept()
    if not changes.get("prevent_thread_lock"):
        app.block_thread()
    return app


def launch(app: gr.Blocks, service: Service, limits: Settings, **changes: Any) -> None:
    """Launch the app with the project's options; `changes` override them."""
    on_space = "SPACE_ID" in os.environ
    name = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_space else "127.0.0.1")
    guard = Middleware(Guard, settings=limits, server_name=name, why_not=service.why_not)
    options: dict[str, Any] = {
        "server_name": name,
        "auth": [*limits.accounts] or None,
        "state_session_capacity": SESSIONS_KEPT,
        "app_kwargs": {
            "middleware": [guard],
            "exception_handlers": {RequestValidationError: malformed, HTTPException: refused},
        },
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "mcp_server": True,
        "max_file_size": MAX_UPLOAD_BYTES,
        "favicon_path": Path(__file__).parent / "favicon.png",
        "share": False,
        "pwa": False,
        "ssr_mode": False,
        "footer_links": ["api", "settings"],
        "run_history": False,
    }
    app.launch(**{**options, **changes})
