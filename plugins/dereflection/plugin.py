"""The dereflection plugin: models/dereflection behind the plugin contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Cost, LoadContext, Picture, Result, RunContext, Size

if TYPE_CHECKING:
    from models.dereflection.pipeline import DereflectionPipeline
    from models.hub import LocalModel


class Dereflection:
    """One diffusion step that takes the reflection off; what was taken off is a layer."""

    class Params(BaseModel):
        """Order is part of the API: append only."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        keep_layer: bool = Field(True, description="Also return the reflection that was removed, as a picture.")

    _pipeline: DereflectionPipeline

    def load(self, model: LocalModel | None, ctx: LoadContext) -> None:
        from models.dereflection.pipeline import DereflectionPipeline  # brings torch and diffusers

        assert model is not None  # plugin.toml names a task
        runtime = ctx.runtime
        self._pipeline = DereflectionPipeline.from_pretrained(
            model.folder, device=runtime.device, dtype=runtime.dtype, attention=runtime.attention
        )

    def cost(self, size: Size, params: Params) -> Cost:
        cost = self._pipeline.cost(size.height, size.width)
        return Cost(cost["seconds"], cost["memory_mb"], int(cost["tiles"]))

    def run(self, picture: Picture, params: Params, ctx: RunContext) -> Result:
        def report(done: int, total: int) -> None:
            ctx.progress.update(done / total, f"tile {min(done + 1, total)} of {total}")

        output = self._pipeline(picture.pixels, progress=report)
        layers = {"reflection": output.reflection} if params.keep_layer else {}
        return Result(output.image, layers, {"plan": output.plan, "notes": output.notes})
