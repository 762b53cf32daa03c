"""The configuration of the training of semantic guidance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from degradations.blur_families import BlurConfig
from degradations.reflection import GlassConfig
from training.core.config import FolderConfig, RunConfig


class TaggedDataConfig(FolderConfig):
    """The samples of semantic guidance: photos whose names tell their class (training.data.semantic)."""

    clean: list[str] = ["train/semantic"]
    smallest: float = Field(0.6, gt=0, le=1)  # smallest crop, share of both sides
    samples: int = Field(4096, ge=1)  # distinct samples; they are made once, and seen again and again
    colour: float = Field(0.3, ge=0, le=1)  # how far contrast, saturation, brightness and white balance are moved
    mix: float = Field(0.3, ge=0, le=1)  # share of samples that blend two photos (mixup)
    glass_share: float = Field(0.3, ge=0, le=1)  # share of samples behind simulated glass
    blur_share: float = Field(0.4, ge=0, le=1)  # share of samples that are blurred
    both: float = Field(0.1, ge=0, le=1)  # share that are both
    glass: GlassConfig = GlassConfig()
    blur: BlurConfig = BlurConfig()

    @model_validator(mode="after")
    def _shares_fit(self) -> TaggedDataConfig:
        if self.both > min(self.glass_share, self.blur_share) or self.glass_share + self.blur_share - self.both > 1:
            raise ValueError("glass_share and blur_share each hold both, and may be 1 together (both counted once).")
        return self


class SemanticRun(RunConfig):
    """Training of semantic guidance; ``losses`` weighs the terms of `training.tasks.semantics.objective`."""

    task: Literal["semantics"] = "semantics"
    losses: dict[str, float] = {"rank": 1.0, "score": 3.0}
    smoothing: float = Field(0.1, ge=0, lt=1)  # share of a photo's tag that goes to all tags alike
    data: TaggedDataConfig = TaggedDataConfig()
