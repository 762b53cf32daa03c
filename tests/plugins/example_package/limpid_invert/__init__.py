"""A whole plugin: it imports nothing of Limpid."""

from types import SimpleNamespace
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field


class Invert:
    """The negative of a photo, of all its colours or of one."""

    class Params(BaseModel):
        amount: float = Field(1.0, ge=0.0, le=1.0, description="How far towards the negative.")
        channel: Literal["all", "red", "green", "blue"] = Field("all", description="Which colour to invert.")

    def load(self, model, ctx):
        self.device = ctx.runtime.device

    def cost(self, size, params):
        return SimpleNamespace(seconds=size.width * size.height / 1e8, memory_mb=1.0)

    def run(self, picture, params, ctx):
        which = slice(None) if params.channel == "all" else ["red", "green", "blue"].index(params.channel)
        image = picture.pixels.copy()
        image[..., which] += params.amount * (1 - 2 * image[..., which])
        return SimpleNamespace(image=image, layers={"change": np.abs(image - picture.pixels)})
