"""Small routes beside gradio's, which the editor's script asks: facts of a photo, crops, previews, examples."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from interface import seen
from interface.blocks import sentence
from interface.editor import about
from interface.examples import photos
from interface.pace import Pace
from interface.static_files import static_mount

PRIVATE = {"Cache-Control": "private, max-age=3600"}


def editor_routes(pace: Pace) -> list[BaseRoute]:
    """Return the routes of the editor."""

    def facts(request: Request) -> Response:
        asked = request.query_params
        return JSONResponse(about(asked.get("file", ""), asked.get("steps", ""), pace))

    def crop(request: Request) -> Response:
        asked = request.query_params
        box = seen.Box(*(int(asked.get(name, "")) for name in ("left", "top", "width", "height")))
        return Response(seen.crop(asked.get("file", ""), box), media_type="image/png", headers=PRIVATE)

    def preview(request: Request) -> Response:
        asked = request.query_params
        longest = min(seen.PREVIEW_PX, max(1, int(asked.get("longest", seen.PREVIEW_PX))))
        return Response(seen.preview(asked.get("file", ""), longest), media_type="image/jpeg", headers=PRIVATE)

    def examples(request: Request) -> Response:
        return JSONResponse([str(path) for path in photos(request.query_params.get("plugin", ""))])

    return [
        static_mount(),
        *(Route(f"/limpid/{function.__name__}", in_words(function)) for function in (facts, crop, preview, examples)),
    ]


def in_words(answer: Callable[[Request], Response]) -> Callable[[Request], Any]:
    """Return a route that answers in a thread, and tells what goes wrong in a sentence."""

    async def route(request: Request) -> Response:
        try:
            return await asyncio.to_thread(answer, request)
        except ValueError:
            text = "The numbers of this request are not whole numbers: open the page anew."
        except Exception as error:
            text = sentence(error)
        return JSONResponse({"error": text, "detail": text}, 400)

    return route
