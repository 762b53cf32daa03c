"""A clock that tests wind by hand, in the place of a module's `time`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat


class Clock:
    """Stands for the module ``time``: ``monkeypatch.setattr(module, "time", Clock())``.

    Args:
        ticks: seconds that pass before each look at the clock; none by default.
    """

    def __init__(self, ticks: Iterable[float] = repeat(0.0)) -> None:
        self.now, self._ticks = 0.0, iter(ticks)

    def perf_counter(self) -> float:
        """Seconds since the clock was made."""
        self.now += next(self._ticks)
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
