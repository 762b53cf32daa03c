"""The deblurring plugin: models/deblur behind the plugin contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Cost, LoadContext, Picture, Result, RunContext, Size

if TYPE_CHECKING:
    from models.deblur.pipeline import DeblurPipeline
    from models.hub import LocalModel


class Deblurring:
    """One diffusion step on top of a faithful restoration; what the blur was is a layer."""

    class Params(BaseModel):
        """Order is part of the API: append only."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        detail: float = Field(
            1.0,
            ge=0.0,
            le=1.0,
            description="0 keeps to what the photo proves, 1 adds the detail that is likely; in between, tones stay "
            "and detail fades in.",
        )
        keep_layers: bool = Field(
            True, description="Also return the blur that was found, drawn over the photo, and the picture at detail 0."
        )

    _pipeline: DeblurPipeline

    def load(self, model: LocalModel | None, ctx: LoadContext) -> None:
        from models.deblur.pipeline import DeblurPipeline  # brings torch and diffusers

        assert model is not None  # plugin.toml names a task
        runtime = ctx.runtime
        self._pipeline = DeblurPipeline.from_pretrained(
            model.folder, device=runtime.device, dtype=runtime.dtype, attention=runtime.attention
        )

    def cost(self, size: Size, params: Params) -> Cost:
        cost = self._pipeline.cost(size.height, size.width)
        return Cost(cost["seconds"], cost["memory_mb"], int(cost["tiles"]))

    def run(self, picture: Picture, params: Params, ctx: RunContext) -> Result:
        def report(done: int, total: int) -> None:
            ctx.progress.update(done / total, f"tile {min(done + 1, total)} of {total}")

        output = self._pipeline(picture.pixels, detail=params.detail, progress=report)
        layers = {}
        if params.keep_layers:
            from models.deblur.draw import draw_blur

            layers = {"motion": draw_blur(picture.pixels, output.cells), "prerestored": output.prerestored}
        return Result(output.image, layers, {"plan": output.plan, "notes": output.notes, **output.info})
