"""How much memory this process may use, and how much of that is left."""

from __future__ import annotations

import math
import os
from pathlib import Path

import psutil

from models.errors import MemoryShortError, ModelError

LIMIT_VARIABLE = "LIMPID_MEMORY_MB"
"""Environment variable: memory of the process, libraries included, in MiB."""
_CGROUP_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def limit_mb() -> float | None:
    """Return the limit in MiB: LIMPID_MEMORY_MB, else that of the container (cgroup), else None. Raises ModelError."""
    named = os.environ.get(LIMIT_VARIABLE, "").strip()
    if named:
        if not (named.isascii() and named.isdigit() and int(named) > 0):
            raise ModelError(f"{LIMIT_VARIABLE} must be a number of megabytes above 0; it is {named!r}.")
        return float(named)
    for file in _CGROUP_FILES:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 1 << 60:  # cgroup v1 says "no limit" with a number near 2^63
            return int(text) / 2**20
    return None


def used_mb() -> float:
    """Return the resident memory of this process in MiB."""
    return psutil.Process().memory_info().rss / 2**20


def room_mb() -> float:
    """Return how many MiB may still be used; infinite without a limit."""
    limit = limit_mb()
    return math.inf if limit is None else limit - used_mb()


def require(mb: float, what: str) -> None:
    """Raise MemoryShortError, whose text names ``what`` is to be done, where it needs more memory than is left."""
    room = room_mb()
    if mb > room:
        raise MemoryShortError(
            f"There is not enough memory {what}: it takes about {mb:.0f} MB, and {max(0.0, room):.0f} of "
            f"{limit_mb():.0f} MB are free. Use a smaller picture, or allow more memory ({LIMIT_VARIABLE}, or the "
            "container's limit)."
        )
