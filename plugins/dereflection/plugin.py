"""The dereflection plugin, a wrapper of ``models.dereflection``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Cost, Picture, Result, RunContext, Size
from plugins.pipelined import Pipelined, guidance_kwargs, tile_progress


class Dereflection(Pipelined):
    """Removal of reflections in one pass of a network; the reflection that was removed is a layer."""

    pipeline = "models.dereflection.pipeline:DereflectionPipeline"
    attention = "auto"

    class Params(BaseModel):
        """Parameters. Their order is part of the API: only append."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        keep_layer: bool = Field(True, description="Also return the reflection that was removed, as a picture.")
        processing: Literal["native", "published"] = Field(
            "native",
            description="native: at the photo's own size. published: at the sizes of DAI's own program, small photos "
            "enlarged to 768 px; for its published checkpoint.",
        )
        mask_hint: bool = Field(
            True,
            description="Where a mask is given, take it for a hint of where the reflection is, and remove more of it "
            "there; off: the mask only limits where the photo changes.",
        )

        @property
        def keep_layers(self) -> bool:
            """The name that all restorers use; ``keep_layer`` is its alias in the API."""
            return self.keep_layer

    def run(self, picture: Picture, params: Params, ctx: RunContext) -> Result:
        """Return the picture without the reflection and, as a layer, the reflection."""
        # A mask that is white everywhere gives no hint of where the reflection is.
        hint = picture.mask if params.mask_hint and picture.mask is not None and picture.mask.min() < 1 else None
        output = self._pipeline(
            picture.pixels,
            processing=params.processing,
            keep_layer=params.keep_layers,
            progress=tile_progress(ctx),
            hint=hint,
            **guidance_kwargs(ctx),
        )
        layers = {"reflection": output.reflection} if params.keep_layers else {}
        return Result(output.image, layers, {"plan": output.plan, "notes": output.notes})

    def examine(self, picture: Picture, ctx: RunContext) -> dict[str, Any] | None:
        """Say whether the picture shows a reflection; None where the model was not calibrated for that."""
        return self._pipeline.detect(picture.pixels)

    def cost(self, size: Size, params: Params) -> Cost:
        """Return the pipeline's own estimate."""
        cost = self._pipeline.cost(size.height, size.width, processing=params.processing)
        return Cost(cost["seconds"], cost["memory_mb"], int(cost["tiles"]))
