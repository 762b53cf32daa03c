"""Middleware in front of everything: who may ask, how much, and how errors and pages are sent."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interface.accounts import OPEN, user_of
from interface.blocks import INTERNAL, NO_ROOM, sentence
from interface.cache import NoRoomError, require_room
from interface.settings import LOOPBACK_NAMES, MAX_UPLOAD_BYTES, Settings
from models.errors import is_full_disk

log = logging.getLogger(__name__)
MAX_JSON_BYTES = 2_000_000
MAX_MCP_BYTES = 64_000_000  # MCP clients send pictures as text
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
BARE = ("Not Found", "Method Not Allowed")
"""Answers of the router that say nothing more."""
CONTENT = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors "
)
"""Content-Security-Policy: nothing from other hosts. Gradio's page has inline scripts and compiles templates."""


class Guard:
    """ASGI middleware. ``why_not`` says why an endpoint of that name cannot be used ("" if there is none)."""

    def __init__(self, app: ASGIApp, settings: Settings, server_name: str, why_not: Callable[[str], str]) -> None:
        self.app, self.why_not = app, why_not
        local = server_name.strip("[]").lower() in LOOPBACK_NAMES
        names = (*settings.hosts, *LOOPBACK_NAMES, server_name.strip("[]").lower())
        self.hosts = names if local or settings.hosts else ()  # () for any
        self.origins = None if "SPACE_ID" in os.environ else settings.hosts  # others' pages may call a Space
        self.accounts = settings.accounts
        self.headers = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Content-Security-Policy": CONTENT + settings.frame_ancestors,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with a sentence."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False
        held: Message | None = None

        async def answer(message: Message) -> None:
            nonlocal begun, held
            if message["type"] == "http.response.start":
                begun = True
                for name, value in self.headers.items():
                    MutableHeaders(scope=message).setdefault(name, value)
                if message["status"] == 500 and re.match(r"/gradio_api/(run|api)/", _path(scope)):
                    held = message
                    return
            if held is not None:  # gradio answers every error with 500, also those of the caller
                held["status"] = 500 if INTERNAL.encode() in message.get("body", b"") else 400
                await send(held)
                held = None
            await send(message)

        try:
            await self._check(scope)
            await self.app(scope, _limited(receive, _limit(scope)), answer)
        except Exception as error:
            if begun and isinstance(error, HTTPException):  # gradio streams the error and raises it, too
                await send({"type": "http.response.body", "body": b""})
                return
            if begun:
                raise
            await self._refusal(scope, error)(scope, receive, answer)

    async def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts and not _allowed(host, self.hosts):
            raise HTTPException(
                403,
                f"This server does not answer to the name {host!r:.80}: open it by the address it listens on, or let "
                "whoever runs it add the name to LIMPID_HOSTS.",
            )
        origin = headers.get("origin")
        if origin and self.origins is not None and scope["method"] not in SAFE_METHODS:
            where = origin.partition("://")[2]
            if where != host and not _allowed(where, self.origins):
                raise HTTPException(
                    403,
                    f"Pages of {origin!r:.80} may not send anything here. Whoever runs this server can add that host "
                    "to LIMPID_HOSTS.",
                )
        if self.accounts and _path(scope) not in OPEN and user_of(headers, self.accounts) is None:
            challenge = {"WWW-Authenticate": 'Basic realm="Limpid", charset="UTF-8"'}
            raise HTTPException(401, "This server is for people with an account: log in with yours.", challenge)
        if (length := headers.get("content-length", "0")).isdigit() and int(length) > _limit(scope):
            raise _too_large(scope)
        if scope["method"] == "GET" and (asked := re.match(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)$", _path(scope))):
            queue = scope["app"].get_blocks()._queue
            waiting = (asked[1] in ids for ids in list(queue.pending_event_ids_session.values()))
            if asked[1] not in queue.event_ids_to_events and not any(waiting):
                raise HTTPException(404, f"There is no job {asked[1]:.40}: its answer was fetched, or its client left.")
        if scope["method"] == "POST" and _path(scope).rstrip("/") == "/gradio_api/upload":
            await asyncio.to_thread(require_room, int(length) if length.isdigit() else 0)

    def _refusal(self, scope: Scope, error: Exception) -> Response:
        """Return an answer whose JSON has a sentence, under both names that clients of gradio look for."""
        path = _path(scope)
        if isinstance(error, HTTPException):
            status, text = error.status_code, str(error.detail)
        elif isinstance(error, NoRoomError):
            status, text = 507, str(error)
        elif is_full_disk(error):
            status, text = 507, NO_ROOM
        elif called := re.match(r"/gradio_api/(?:call/v2|call|run|api)/([^/]*)", path):
            status, text = self._call_refusal(called[1], error)
        elif path.startswith("/gradio_api/queue/"):
            log.warning("A call was not understood: %r", error)
            status, text = 400, f"This call was not understood ({type(error).__name__}): open the page anew."
        elif isinstance(error, TypeError) and path.startswith("/gradio_api/upload"):
            status, text = 400, "The upload holds no file: send one as multipart/form-data, under the name files."
        else:
            status, text = 500, sentence(error)
        return JSONResponse({"error": text, "detail": text}, status, getattr(error, "headers", None))

    def _call_refusal(self, name: str, error: Exception) -> tuple[int, str]:
        why = self.why_not(name)
        if why:
            return 404, why
        if isinstance(error, TypeError) and str(error).startswith(("Parameter `", "No value provided")):
            return 400, argument_sentence(str(error), name)
        log.warning("A call was not understood: %r", error)
        return (
            400,
            f"This call of {name!r:.80} was not understood ({type(error).__name__}): see Use via API on the page.",
        )


def argument_sentence(text: str, name: str) -> str:
    """Put gradio's text on a missing or misspelt argument into a sentence of our own."""
    if misspelt := re.match(r"Parameter `(.*?)` is not", text, re.DOTALL):
        return f"There is no argument {misspelt[1]!r:.80} of /{name}: see Use via API on the page, or /gradio_api/info."
    argument = text.rpartition(": ")[2]
    return f"The argument {argument!r:.80} of /{name} is missing: give it a value."


def _allowed(place: str, names: Iterable[str]) -> bool:
    """Return whether a host, with or without a port, is among names; ``*.`` in front of one stands for all below."""
    host = place.lower()
    host = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] or host
    host = host.rstrip(".")
    return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in names)


def _path(scope: Scope) -> str:
    """Return the path below the root path, as gradio's routes name it."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root else path


def _limit(scope: Scope) -> int:
    path = _path(scope)
    if path.startswith("/gradio_api/upload"):
        return MAX_UPLOAD_BYTES + 100_000  # and the form around it
    return MAX_MCP_BYTES if path.startswith("/gradio_api/mcp") else MAX_JSON_BYTES


def _too_large(scope: Scope) -> HTTPException:
    return HTTPException(
        413,
        f"The request is too large: at most {_limit(scope) / 1e6:.0f} MB are accepted here. Upload pictures as files.",
    )


def _limited(receive: Receive, most: int) -> Receive:
    """Return a `receive` that raises once a body without a length is longer than ``most`` bytes."""
    done = 0

    async def counted() -> Message:
        nonlocal done
        message = await receive()
        done += len(message.get("body", b""))
        if done > most:
            raise HTTPException(413, f"The request is too large: at most {most / 1e6:.0f} MB are accepted here.")
        return message

    return counted


async def malformed(_: Request, error: Exception) -> JSONResponse:
    """Answer a request whose body has another form than it should, in a sentence."""
    wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in getattr(error, "errors", list)()]
    text = f"The request is not as it should be ({'; '.join(wrong):.300}): see Use via API on the page."
    return JSONResponse({"error": text, "detail": text}, 422)


async def refused(request: Request, error: Exception) -> JSONResponse:
    """Answer with an error of gradio's or of this module's in the same form as all others."""
    assert isinstance(error, HTTPException)
    text = str(error.detail)
    if text in BARE:
        text = f"There is nothing to {request.method} at {request.url.path:.80}: see Use via API on the page."
    return JSONResponse({"error": text, "detail": text}, error.status_code, error.headers)
