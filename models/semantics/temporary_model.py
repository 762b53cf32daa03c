"""Large models that are loaded for one answer, and whose memory is freed in any case."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def temporary_model(holder: Any, model: torch.nn.Module) -> Iterator[None]:
    """Context in which ``model`` may be used; on exit its weights are freed, and ``holder`` becomes unusable."""
    try:
        with torch.inference_mode():
            yield
    finally:
        # Whoever still holds a reference (a traceback, a pipeline's caches) holds an empty model.
        model.to("meta")
        if hasattr(holder, "model"):
            holder.model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
