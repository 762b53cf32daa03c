"""Limits and protection of a shared server, from environment variables; docs/api.md lists them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from models.errors import LimpidError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
MAX_UPLOAD_BYTES = 200_000_000
"""Largest picture file accepted."""
DEFAULTS = {"LIMPID_QUEUE": 200, "LIMPID_MAX_SIDE": 20_000, "LIMPID_MAX_SECONDS": 120, "LIMPID_DISK_MB": 5000}
"""Variables that hold a whole number; 0 is no limit."""


@dataclass(frozen=True)
class Settings:
    """The settings of a server. A limit is None where there is none.

    Attributes:
        queue: jobs that may wait.
        max_side: longest side of a photo in pixels.
        max_seconds: longest run, by its forecast.
        disk_mb: space for uploads and results.
        hosts: names, in lower case, by which others may reach the server; ``*.example.org`` is all names below.
        frame_ancestors: who may show the page in a frame, as in Content-Security-Policy.
        accounts: (name, password) of those who may log in; empty for everybody.
    """

    queue: int | None
    max_side: int | None
    max_seconds: int | None
    disk_mb: int | None
    hosts: tuple[str, ...]
    frame_ancestors: str
    accounts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings. Raises LimpidError, which names the variable that is wrong."""
        queue, max_side, max_seconds, disk_mb = (_number(environment, *one) for one in DEFAULTS.items())
        hosts = tuple(host.strip().lower() for host in environment.get("LIMPID_HOSTS", "").split(",") if host.strip())
        for host in hosts:
            if "/" in host or host.count(":") == 1:
                raise LimpidError(f"LIMPID_HOSTS has {host!r}: name hosts without scheme or port, such as example.org.")
        on_space = "SPACE_ID" in environment
        framing = environment.get("LIMPID_FRAME_ANCESTORS") or (
            "'self' https://huggingface.co https://*.huggingface.co" if on_space else "'self'"
        )
        if set(framing) & set(";,\r\n") or not framing.isascii():
            raise LimpidError("LIMPID_FRAME_ANCESTORS must be a list with spaces, such as 'self' https://example.org.")
        accounts = []
        for pair in environment.get("LIMPID_AUTH", "").split(","):
            name, colon, password = pair.strip().partition(":")
            if pair.strip() and not (name and colon and password):
                raise LimpidError("LIMPID_AUTH must be name:password, or several of them with commas in between.")
            if pair.strip():
                accounts.append((name, password))
        return cls(queue, max_side, max_seconds, disk_mb, hosts, framing, tuple(accounts))


@cache
def settings() -> Settings:
    """Return the settings of this process, read once. Raises LimpidError."""
    return Settings.of(os.environ)


def _number(environment: Mapping[str, str], name: str, default: int) -> int | None:
    text = environment.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise LimpidError(f"{name} must be a whole number, and 0 for no limit; it is {text!r}.")
    return (int(text) if text else default) or None
