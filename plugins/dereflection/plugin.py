"""The dereflection plugin: models/dereflection behind the plugin contract."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Picture, Result, RunContext
from plugins.pipelined import Pipelined, said_by, tile_progress


class Dereflection(Pipelined):
    """One diffusion step that takes the reflection off; what was taken off is a layer."""

    pipeline = "models.dereflection.pipeline:DereflectionPipeline"

    class Params(BaseModel):
        """Order is part of the API: append only."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        keep_layer: bool = Field(True, description="Also return the reflection that was removed, as a picture.")

    def run(self, picture: Picture, params: Params, ctx: RunContext) -> Result:
        output = self._pipeline(picture.pixels, progress=tile_progress(ctx), **said_by(ctx))
        layers = {"reflection": output.reflection} if params.keep_layer else {}
        return Result(output.image, layers, {"plan": output.plan, "notes": output.notes})
