"""The configuration of the training of semantic guidance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from degradations.blur_families import BlurConfig
from degradations.reflection import GlassConfig
from training.core.config import PhotoConfig, RunConfig


class DegradedDataConfig(PhotoConfig):
    """The samples: sharp photos, each beside itself behind simulated glass, blurred, both, or as it is.

    Real pairs (``pairs``, a ``pair_share`` of the samples) are photos through real glass beside their targets.
    """

    clean: list[str] = ["train/semantic", "train/clean"]
    smallest: float = Field(0.7, gt=0, le=1)
    pair_share: float = Field(0.0, ge=0, le=1)
    samples: int = Field(1_000_000, ge=1)  # distinct samples, after which they come again
    keep: bool = False  # keep what was made in memory, for a stage that sees few samples again and again
    glass_share: float = Field(0.35, ge=0, le=1)  # share of simulated samples behind glass
    blur_share: float = Field(0.35, ge=0, le=1)  # share of them that are blurred
    both: float = Field(0.1, ge=0, le=1)  # share of them that are both
    glass: GlassConfig = GlassConfig(clean=0.0)
    blur: BlurConfig = BlurConfig(clean=0.0)

    @model_validator(mode="after")
    def _shares_fit(self) -> DegradedDataConfig:
        if self.both > min(self.glass_share, self.blur_share) or self.glass_share + self.blur_share - self.both > 1:
            raise ValueError("glass_share and blur_share each hold both, and may be 1 together (both counted once).")
        if self.pair_share and not self.pairs:
            raise ValueError("pair_share needs pairs, or set it to 0.")
        if self.guidance is not None:
            raise ValueError("data.guidance is for restorers, not for the guide itself.")
        return self


class SemanticRun(RunConfig):
    """Training of semantic guidance; ``losses`` weighs the terms of `training.tasks.semantics.objective`."""

    task: Literal["semantics"] = "semantics"
    losses: dict[str, float] = {"distill": 1.0}
    dropout: float = Field(0.0, ge=0, lt=1)  # share of the inputs of the diagnosis's heads that is dropped
    data: DegradedDataConfig = DegradedDataConfig()
