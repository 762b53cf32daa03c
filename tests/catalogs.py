"""Entries of catalogs, for models in folders."""

from __future__ import annotations

import json
from pathlib import Path


def model_entry(id: str, task: str, folder: Path | str, source: str = "local", **more: object) -> str:
    """A ``[[model]]`` table for the model in ``folder``; ``more`` are further keys."""
    values = {"id": id, "task": task, "source": source, "licence": "none", "path": str(folder)} | more
    return "".join(["[[model]]\n", *(f"{key} = {json.dumps(value)}\n" for key, value in values.items())])
