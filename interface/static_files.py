"""The editor's own files, `static/`, served under an address that changes with their content."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
_FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
_DIGEST = sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()[:12]
_PLACE = f"limpid/{_DIGEST}"


class Forever(StaticFiles):
    """Files that browsers may keep: with other content they have another address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def asset_path(name: str) -> str:
    """Return the address of a file of `static/`, below the page's."""
    return f"{_PLACE}/{name}"


def static_mount() -> Mount:
    """Return the route of these files."""
    return Mount(f"/{_PLACE}", GZipMiddleware(Forever(directory=STATIC)))
