"""HTTP Basic authentication of page, API, files and MCP alike; gradio's own login leaves MCP open."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping

OPEN = ("/health", "/gradio_api/startup-events")
"""Paths that need no account: health checks of proxies, and gradio's own request when it starts."""


def user_of(headers: Mapping[str, str], accounts: tuple[tuple[str, str], ...]) -> str | None:
    """Return the name of the account that a request's Authorization header proves, or None."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    known = None
    for account, secret in accounts:  # all of them, so that the time taken tells nothing
        same = secrets.compare_digest(name.encode(), account.encode())
        if same & secrets.compare_digest(password.encode(), secret.encode()):
            known = account
    return known


def header(account: tuple[str, str]) -> dict[str, str]:
    """Return the header by which a client logs in."""
    return {"Authorization": "Basic " + base64.b64encode(":".join(account).encode()).decode()}
