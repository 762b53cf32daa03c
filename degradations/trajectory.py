"""Smooth random trajectories: how a hand moves while the shutter is open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from degradations.sample_rng import SampleRNG

WALK_STEPS = 96  # of the random walk; what is drawn from it is interpolated
TURN = (0.02, 0.35)  # change of direction a step, log-uniform: from nearly straight to curled
PULL = 1.5  # of the spring that brings the hand back, at the length of the whole trajectory
JERK = 0.02  # probability of an abrupt turn, a step, for the most nervous hand
DWELL = 0.6  # standard deviation of the logarithm of the time spent at a place


@dataclass(frozen=True)
class Trajectory:
    """Positions over the exposure, N x D, and the share of time spent at each, N (sums to 1)."""

    positions: np.ndarray
    weights: np.ndarray

    def centred(self) -> Trajectory:
        """With the mean position, over time, at the origin: the sharp picture then lies in the blur's middle."""
        return Trajectory(self.positions - self.weights @ self.positions, self.weights)

    def evenly(self, arc: np.ndarray, count: int) -> Trajectory:
        """``count`` positions at equal distances along ``arc`` (N, how far the walk has come at each position).

        Each has the time spent around it. A standstill is allowed; its time is not lost.
        """
        arc = np.maximum.accumulate(arc + np.arange(len(arc)) * (1e-9 * max(float(arc[-1]), 1e-9)))
        # Each position's time is shared equally between the intervals on both sides.
        passed = np.concatenate([[0.0], np.cumsum((self.weights[1:] + self.weights[:-1]) / 2)])
        edges = np.linspace(arc[0], arc[-1], count + 1)
        share = np.diff(np.interp(edges, arc, passed))
        middle = (edges[1:] + edges[:-1]) / 2
        columns = [np.interp(middle, arc, column) for column in self.positions.T]
        return Trajectory(np.stack(columns, 1), share / share.sum())


def straight(start: float, end: float) -> Trajectory:
    """Even motion from one number to another: 1-D."""
    return Trajectory(np.linspace(start, end, WALK_STEPS)[:, None], np.full(WALK_STEPS, 1 / WALK_STEPS))


def random_walk(rng: SampleRNG, dimensions: int) -> Trajectory:
    """A random trajectory of about unit length, in 2 dimensions (a shift) or 6 (a camera's motion).

    After Boracchi and Foi ("Modeling the performance of image restoration from motion blur", IEEE TIP 2012), as
    DeblurGAN (Kupyn et al., CVPR 2018) uses it: even speed, a direction that random forces turn, a spring that
    pulls back, now and then an abrupt turn. The time spent at a place varies smoothly.
    """
    nervous = rng.uniform()
    turn = rng.log_uniform(*TURN)
    noise = rng.normal(WALK_STEPS, dimensions).numpy().astype(np.float64)
    first = rng.normal(dimensions).numpy().astype(np.float64)
    jerks = np.array([rng.uniform() for _ in range(WALK_STEPS)]) < JERK * nervous
    dwell = np.interp(np.linspace(0, 1, WALK_STEPS), np.linspace(0, 1, 7), rng.normal(7).numpy()) * DWELL
    direction = first / max(float(np.linalg.norm(first)), 1e-6)
    position = np.zeros(dimensions)
    positions = np.empty((WALK_STEPS, dimensions))
    for step in range(WALK_STEPS):
        positions[step] = position
        direction = direction + turn * noise[step] - PULL / WALK_STEPS * nervous * position
        if jerks[step]:
            direction = -direction + 2 * turn * noise[step]
        direction = direction / max(float(np.linalg.norm(direction)), 1e-6)
        position = position + direction / WALK_STEPS
    weights = np.exp(dwell)
    return Trajectory(positions, weights / weights.sum())
