"""The configuration of a stage of deblurring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from degradations.blur_families import BlurConfig
from degradations.sample_rng import Chance
from training.core.config import PhotoConfig, RunConfig


class BlurDataConfig(PhotoConfig):
    """The samples of deblurring."""

    blur: BlurConfig = BlurConfig()  # its folder of kernels is relative to root too
    gray: Chance = 0.0  # share of the samples without colour


Part = Literal["prerestored", "motion", "alignment", "latent", "autoencoder", "energy", "output", "reblur"]


class DeblurRun(RunConfig):
    """A stage of deblurring."""

    task: Literal["deblur"] = "deblur"
    parts: dict[Part, Annotated[float, Field(gt=0)]] = {"prerestored": 1.0, "motion": 0.1}
    """What is learnt, and with which weight; see `training.tasks.deblur.objective`. ``losses`` compare its pictures."""
    data: BlurDataConfig = BlurDataConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> DeblurRun:
        if "prerestored" not in self.parts and set(self.parts) != {"motion"}:
            raise ValueError("parts must hold prerestored, on which all else is built, or be motion alone.")
        if self.data.guidance and not {"latent", "output", "reblur"} & set(self.parts):
            raise ValueError("data.guidance acts in the diffusion step: parts must hold output, latent or reblur.")
        return self
