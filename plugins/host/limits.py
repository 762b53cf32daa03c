"""Limits of a shared host on a photo's sides and on the forecast time of a run, by this machine's measured speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from models.errors import LimpidError
from plugins.contract import Cost

SHORTEST_MEASURED_S = 1.0
"""Forecast from which on a run's time says something about the machine's speed."""
SLOWEST, FASTEST = 20.0, 0.05


class TooCostlyError(LimpidError):
    """A photo is larger, or its run longer, than this host accepts."""


@dataclass(frozen=True)
class Limits:
    """``max_side``: in pixels; ``max_seconds``: of a run's forecast. None is no limit, as on the command line."""

    max_side: int | None = None
    max_seconds: float | None = None

    def check_size(self, width: int, height: int) -> None:
        """Raise TooCostlyError for a photo with a longer side."""
        if self.max_side is not None and max(width, height) > self.max_side:
            raise TooCostlyError(
                f"The photo is {width} x {height} pixels, and this server takes at most {self.max_side} a side "
                f"(LIMPID_MAX_SIDE): use a smaller one, or the command line, which has no such limit."
            )

    def check_cost(self, cost: Cost) -> None:
        """Raise TooCostlyError for a longer run."""
        if self.max_seconds is not None and cost.seconds > self.max_seconds:
            raise TooCostlyError(
                f"This would take about {cost.seconds:.0f} s here, and this server takes runs of at most "
                f"{self.max_seconds:.0f} s (LIMPID_MAX_SECONDS): use a smaller photo or fewer steps, or the command "
                "line, which has no such limit."
            )


@dataclass
class Speed:
    """How much longer than forecast runs take on this machine, by step; measured again with every run."""

    ratios: dict[str, float] = field(default_factory=dict)

    def of(self, step: str) -> float:
        """Return the ratio of a step; that of others where it has not run yet, and 1 before any run."""
        if step in self.ratios:
            return self.ratios[step]
        return max(self.ratios.values(), default=1.0)

    def learn(self, steps: Sequence[str], forecast: float, seconds: float) -> None:
        """Take note that ``steps``, which the plugins forecast at so many seconds, took ``seconds``."""
        if forecast < SHORTEST_MEASURED_S:
            return
        ratio = min(SLOWEST, max(FASTEST, seconds / forecast))
        for step in steps:
            self.ratios[step] = 0.7 * self.ratios.get(step, ratio) + 0.3 * ratio
