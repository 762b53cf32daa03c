"""Types of settings: ranges to draw from, and probabilities."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= values[0] <= values[1]:
        raise ValueError(f"a range is [low, high] with 0 <= low <= high, got {list(values)}")
    return values


def _above_zero(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] <= 0:
        raise ValueError(f"this range is drawn from evenly in its logarithm and must start above 0, got {list(values)}")
    return values


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
LogRange = Annotated[Range, AfterValidator(_above_zero)]
Chance = Annotated[float, Field(ge=0, le=1)]
