"""The blur simulator's families and the distribution of their settings."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from degradations.sample_rng import Chance, LogRange, Range

# Names are part of configurations and reports: add, never rename. Numbers: default weights.
FAMILIES = {
    "shake": 2.0,  # camera shake: six degrees of freedom before a plane; varies over the picture
    "trajectory": 2.0,  # one kernel, from a random trajectory
    "linear": 1.0,
    "objects": 1.5,  # moving objects over a sharp or differently blurred background
    "zoom": 0.7,
    "rotation": 0.7,
    "disc": 1.0,  # defocus through a round aperture, sometimes with layers of depth
    "polygon": 0.7,  # defocus through a diaphragm of blades
    "kernels": 0.0,  # measured kernels; needs the setting kernels
    "gaussian": 0.7,
    "composed": 1.2,  # defocus, then motion
}
OTHERS = "others"
MAX_BLUR_SHARE = 0.2  # longest blur, share of the picture's shorter side: borders are mirrored so far


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class BlurConfig:
    """The distribution. Lengths without a unit are fractions of the picture's shorter side."""

    # Weights by family; a weight of 0 holds a family out. Those not named keep their defaults, or all get the
    # weight "others": {others: 0, linear: 1} is linear motion alone.
    families: dict[str, Annotated[float, Field(ge=0)]] = field(default_factory=dict)
    clean: Chance = 0.12  # probability of no blur
    motion: LogRange = (0.006, 0.1)  # length of the motion of a camera or an object, log-uniform
    sweep: LogRange = (0.01, 0.12)  # longest blur of zoom and rotation, at the picture's edge
    defocus: LogRange = (0.003, 0.04)  # radius of the defocus disc
    gaussian: LogRange = (0.002, 0.02)  # standard deviation
    kernels: Path | None = None  # folder of .npy kernels, for the family of that name
    kernel_length: LogRange = (0.02, 0.2)  # longest extent of a measured kernel
    field_of_view: Range = (35.0, 75.0)  # degrees, along the shorter side
    slant: Annotated[float, Field(ge=0, le=1)] = 0.4  # largest tilt of the plane before a shaken camera
    layers: Chance = 0.35  # probability that defocus has two or three layers of depth
    background: Chance = 0.5  # probability that the background of moving objects is blurred too
    lights: Chance = 0.6  # probability that highlights are brighter than white, so that they streak
    highlight: LogRange = (1.5, 12.0)  # how much brighter than white they become, log-uniform
    threshold: Annotated[float, Field(ge=0.5, lt=1)] = 0.9  # value above which a pixel is a highlight
    gamma: Range = (1.9, 2.5)  # exponent of the camera's curve; sRGB is near 2.2
    noise: Annotated[float, Field(ge=0)] = 0.015  # largest standard deviation of the noise, in the picture
    jpeg: Chance = 0.3  # probability of JPEG
    quality: Range = (60.0, 98.0)

    @model_validator(mode="after")
    def _settings_fit(self) -> BlurConfig:
        unknown = sorted(set(self.families) - set(FAMILIES) - {OTHERS})
        if unknown:
            known = ", ".join([*FAMILIES, OTHERS])
            raise ValueError(f"there is no blur family {', '.join(unknown)}: families are named by {known}")
        if not any(self.weights.values()):
            raise ValueError("every blur family has the weight 0: give at least one of families a weight above it")
        if self.weights["kernels"] and self.kernels is None:
            raise ValueError("the family 'kernels' has a weight but no folder: set kernels to one of .npy files")
        half = MAX_BLUR_SHARE / 2
        limits = dict.fromkeys(("motion", "sweep", "kernel_length"), 2 * half) | {"defocus": half, "gaussian": half / 3}
        for name, limit in limits.items():
            if getattr(self, name)[1] > limit:
                raise ValueError(f"{name} must end at {limit:.3g} of the picture's shorter side or below")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every family."""
        others = self.families.get(OTHERS)
        return {
            name: self.families.get(name, default if others is None else others) for name, default in FAMILIES.items()
        }
