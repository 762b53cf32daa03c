"""The configuration of a stage of dereflection."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from degradations.blend import BlendConfig
from degradations.reflection import GlassConfig
from training.core.config import PhotoConfig, RunConfig


class DataConfig(PhotoConfig):
    """The samples of dereflection."""

    retired: ClassVar[dict[str, Any]] = {"rotate": True}
    layer_share: float = Field(0.0, ge=0, le=1)  # share with a real pair's reflection over a sharp photo
    blend_share: float = Field(0.0, ge=0, le=1)  # of the simulated rest, share by `blend` instead of `glass`
    flat_share: float = Field(0.0, ge=0, le=1)  # share of the photos shown as flat pictures (degradations.scenes)
    defocus_share: float = Field(0.0, ge=0, le=1)  # share of the photos out of focus in part (degradations.scenes)
    reflected: list[str] = []  # folders of photos that are reflected, never a target
    reflected_share: float = Field(0.2, ge=0, le=1)  # share of reflected pictures that are from those
    pair_tone: float = Field(0.0, ge=0, lt=1)  # how far brightness, contrast and colour of real pairs are varied
    hint_share: float = Field(0.0, ge=0, le=1)  # share with a hint of where the reflection is
    crop: int = Field(0, ge=0)  # with objective "local": side of the crops the local network sees
    whole: int = Field(256, ge=1)  # with objective "local": side at which the whole photo is looked at first
    views: int = Field(1, ge=1)  # views of each scene that follow each other, with the pane turned
    glass: GlassConfig = GlassConfig()
    blend: BlendConfig = BlendConfig()


class DereflectionRun(RunConfig):
    """A stage of dereflection."""

    retired: ClassVar[dict[str, Any]] = {"perceptual": 0.0, "prior": None}
    task: Literal["dereflection"] = "dereflection"
    tier: Literal["small", "full"] = "small"  # full: Stable Diffusion's networks; init_from says which weights
    objective: Literal["whole", "local", "latent"] = "whole"  # local: small only; latent: full only
    consistency: float = Field(0.0, ge=0)  # weight of losses.consistency, between the views of data.views
    blind: float = Field(0.0, ge=0, le=1)  # share of a real pair's loss that is blind to gain and offset
    layers: dict[Literal["reflection"], Annotated[float, Field(ge=0)]] = {}
    """Small tier, objective "whole": the weight of the reflection's own error, where it is known."""
    data: DataConfig = DataConfig()

    @property
    def views(self) -> int:
        """Give the number of consecutive samples that show one scene."""
        return self.data.views

    @model_validator(mode="after")
    def _tier_fits(self) -> DereflectionRun:
        if self.objective == {"small": "latent", "full": "local"}[self.tier]:
            raise ValueError(f"objective {self.objective} is not for tier {self.tier}.")
        if self.tier == "full" and (self.init_from is None or self.model):
            raise ValueError("tier full starts from init_from (python -m training.core.start makes one); model is {}.")
        return self

    @model_validator(mode="after")
    def _losses_fit(self) -> DereflectionRun:
        if any(self.layers.values()) and (self.tier, self.objective) != ("small", "whole"):
            raise ValueError("layers is for tier small with objective whole.")
        return self

    @model_validator(mode="after")
    def _views_fit(self) -> DereflectionRun:
        if self.consistency and self.data.views < 2:
            raise ValueError("consistency compares views of one scene: set data.views to 2 or more.")
        if self.micro_batch % self.data.views or self.batch % self.data.views:
            raise ValueError(f"batch and micro_batch must be multiples of data.views ({self.data.views}).")
        return self
