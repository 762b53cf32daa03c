"""Serving of page, API and MCP tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from interface import mcp_server, page
from interface.accounts import user_of
from interface.cache import choose_folder, keep_swept
from interface.guard import Guard, malformed, refused
from interface.pace import Pace
from interface.retrain import access
from interface.retrain.naming import use_own_catalog
from interface.routes import editor_routes
from interface.service import Service
from interface.settings import MAX_UPLOAD_BYTES, Settings, settings
from interface.theme import CSS, HEAD, theme
from plugins import __version__

SESSIONS_KEPT = 64
"""Sessions whose state gradio keeps, about a third of a megabyte each; every call of a program is one. The page
keeps nothing there."""


def serve(service: Service | None = None, **changes: Any) -> gr.Blocks:
    """Build the app and launch it; `changes` go to gradio's launch().

    It listens on 127.0.0.1:7860, on a Space on all addresses, unless GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say
    otherwise.
    """
    limits = settings()
    choose_folder()
    if access.wanted():
        use_own_catalog()
    service = service or Service()
    pace = Pace()
    app = page.build(service, pace)
    app.queue(max_size=limits.queue, api_open=False)  # not open: every run waits its turn
    launch(app, service, limits, pace, **{"prevent_thread_lock": True, **changes})
    service.warm_up()  # last, so that the page answers before torch is imported
    keep_swept()
    if not changes.get("prevent_thread_lock"):
        app.block_thread()
    return app


def launch(app: gr.Blocks, service: Service, limits: Settings, pace: Pace, **changes: Any) -> None:
    """Launch the app with the project's options; `changes` override them."""
    here = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    name = changes.get("server_name") or os.environ.get("GRADIO_SERVER_NAME") or here
    guard = Middleware(Guard, settings=limits, server_name=name, why_not=service.why_not)
    options: dict[str, Any] = {
        "server_name": name,
        "auth_dependency": (lambda request: user_of(request.headers, limits.accounts)) if limits.accounts else None,
        "state_session_capacity": SESSIONS_KEPT,
        "app_kwargs": {
            "routes": [Route("/health", lambda _: JSONResponse(alive(app))), *editor_routes(pace)],
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
        "_frontend": False,  # all that this does: on a slow machine gradio would give up, its first page being late
    }
    mcp_server.install()
    app.launch(**{**options, **changes})
    if limits.accounts and isinstance(app.mcp_server_obj, mcp_server.McpServer):
        app.mcp_server_obj.account = limits.accounts[0]


def alive(app: gr.Blocks) -> dict[str, Any]:
    """Return what GET /health answers, for proxies: quick, and without an account."""
    return {"status": "ok", "version": __version__, "waiting": len(app._queue)}
