"""The deblurring plugin, a wrapper of ``models.deblur``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Picture, Result, RunContext
from plugins.pipelined import Pipelined, guidance_kwargs, tile_progress


class Deblurring(Pipelined):
    """Restoration faithful to the photo, then one diffusion step that adds likely detail; the blur found is a layer."""

    pipeline = "models.deblur.pipeline:DeblurPipeline"

    class Params(BaseModel):
        """Parameters. Their order is part of the API: only append."""

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
        linear: bool = Field(
            False,
            description="The photo's values are in proportion to light, as those of many scientific cameras and raw "
            "files: no camera's curve was put on them.",
        )

    def run(self, picture: Picture, params: Params, ctx: RunContext) -> Result:
        """Return the sharp picture and, as layers, a drawing of the blur and the picture at detail 0."""
        options = {"detail": params.detail, "linear": params.linear}
        output = self._pipeline(picture.pixels, **options, progress=tile_progress(ctx), **guidance_kwargs(ctx))
        layers = {}
        if params.keep_layers:
            from models.deblur.draw import draw_blur

            layers = {
                "motion": draw_blur(picture.pixels, output.cells, output.kernel),
                "prerestored": output.prerestored,
            }
        return Result(output.image, layers, {"plan": output.plan, "notes": output.notes, **output.info})
