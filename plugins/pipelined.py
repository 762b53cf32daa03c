"""Base class and helpers for plugins that wrap one pipeline of `models`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from plugins.contract import Cost, LoadContext, RunContext, Size

if TYPE_CHECKING:
    from models.hub import LocalModel


class Pipelined:
    """Implements ``load`` and ``cost`` of :class:`plugins.contract.Plugin`; subclasses add ``run``."""

    pipeline: ClassVar[str]
    """"module:Class"; imported by ``load`` only, since it imports torch and diffusers."""
    attention: ClassVar[str | None] = None
    """Attention backend; None for the one of the host's runtime."""
    _pipeline: Any

    def load(self, model: LocalModel | None, ctx: LoadContext) -> None:
        """Load the pipeline, and the text encoder that its checkpoint names."""
        assert model is not None  # plugin.toml names a task
        module, name = self.pipeline.split(":")
        runtime = ctx.runtime
        self._pipeline = getattr(import_module(module), name).from_pretrained(
            model.folder, device=runtime.device, dtype=runtime.dtype, attention=self.attention or runtime.attention
        )
        if named := getattr(self._pipeline, "text_model", ""):
            from models.semantics.full_tier import NamedTextEncoder

            self._pipeline.text_encoder = NamedTextEncoder(named, runtime.device, runtime.dtype)

    @property
    def runtime(self) -> Any:
        """The runtime in use, where the pipeline chose it by itself; else None."""
        return getattr(self._pipeline, "runtime", None)

    def cost(self, size: Size, params: Any) -> Cost:
        """Return the pipeline's own estimate."""
        cost = self._pipeline.cost(size.height, size.width)
        return Cost(cost["seconds"], cost["memory_mb"], int(cost["tiles"]))


def guidance_kwargs(ctx: RunContext) -> dict[str, Any]:
    """Return a pipeline's ``tags`` (the highest score of each) and ``caption``; empty without guidance.

    Restorers were trained with coarse tags: a word stands for the one above it.
    """
    if ctx.guidance is None:
        return {}
    tags: dict[str, float] = {}
    for tag in ctx.guidance.tags:
        name = tag.broader or tag.name
        tags[name] = max(tag.score, tags.get(name, tag.score))
    return {"tags": tags, "caption": ctx.guidance.caption}


def tile_progress(ctx: RunContext) -> Callable[[int, int], None]:
    """Return a callback ``(tiles done, tiles in all)`` that reports to ``ctx.progress`` and may raise Cancelled."""

    def report(done: int, total: int) -> None:
        ctx.progress.update(done / total, f"tile {min(done + 1, total)} of {total}")

    return report
