"""Large models that are loaded for one answer: whatever happens, their memory is given back."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def temporary_model(holder: Any, model: torch.nn.Module) -> Iterator[None]:
    """Within it ``model`` may be used; after it the model has no weights, and ``holder`` cannot be used any more."""
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
