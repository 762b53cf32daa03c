"""How long runs take on this machine, from its own last runs: reading, restoring and writing, without loading."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import nnls

RUNS_KEPT = 12
"""Last runs, for each kind of run, from which the next one is estimated."""


@dataclass
class Pace:
    """Estimates the seconds of a run as ``fixed + per_megapixel * megapixels``, both at least 0, from the last runs.

    Runs are of kinds (the steps asked for), which are estimated apart. Thread-safe.
    """

    runs: dict[Hashable, deque[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=RUNS_KEPT))
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, kind: Hashable, megapixels: float, seconds: float) -> None:
        """Take note of a finished run."""
        with self.lock:
            self.runs[kind].append((megapixels, seconds))

    def estimate(self, kind: Hashable, megapixels: float) -> float | None:
        """Return the seconds of a run; None before there was one of its kind."""
        with self.lock:
            known = np.array(self.runs.get(kind) or np.empty((0, 2)))
        if not len(known):
            return None
        sizes, seconds = known.T
        weight = 1 / np.maximum(seconds, 0.05)  # the relative error counts
        if np.ptp(sizes) < 0.25 * sizes.max():  # one size tells nothing about others but in proportion
            return float(np.median(seconds) * (0.1 + megapixels) / (0.1 + np.median(sizes)))
        found, _ = nnls(np.stack([weight, sizes * weight], axis=1), seconds * weight)
        return float(found[0] + found[1] * megapixels)


class Watch:
    """A gradio progress that also measures how long a run took, without the time for loading models."""

    def __init__(self, progress: Callable[..., Any], clock: Callable[[], float]) -> None:
        self.progress, self.clock = progress, clock
        self.started = clock()
        self._loading_since: float | None = None
        self._loading = 0.0

    def __call__(self, fraction: float, desc: str = "") -> None:
        """Report as ``gr.Progress`` does."""
        now = self.clock()
        if self._loading_since is not None:
            self._loading += now - self._loading_since
        self._loading_since = now if desc.lower().startswith("loading") else None
        self.progress(fraction, desc=desc)

    def seconds(self) -> float:
        """Return the seconds since the start, less those of loading."""
        return self.clock() - self.started - self._loading
