"""The trained parameters, their learning rates, and how a batch is divided."""

import math
from fnmatch import fnmatchcase
from typing import Any

import torch

from training.core.config import RunConfig


def learning_rate(step: int, config: RunConfig, seconds: float = 0.0) -> float:
    """Return the learning rate at ``step``: linear warm-up, constant, then a cosine to zero.

    The cosine takes the last ``decay`` of the schedule: of its steps, or of its ``minutes`` where the ``seconds``
    trained so far are a larger share of those.
    """
    o = config.optimizer
    done = step / (o.horizon or config.steps)
    if config.minutes is not None:
        done = max(done, min(1.0, seconds / (60 * config.minutes)))
    start = 1 - o.decay
    fall = 1.0 if done < start or not o.decay else 0.5 * (1 + math.cos(math.pi * (done - start) / o.decay))
    return o.lr * min(1.0, (step + 1) / max(1, o.warmup)) * fall


def share_of_batch(config: RunConfig, processes: int) -> tuple[int, int]:
    """Return the micro batch and the accumulation steps that give exactly the effective batch on ``processes``."""
    if config.batch % processes:
        raise ValueError(f"batch {config.batch} cannot be shared by {processes} processes: choose a multiple.")
    share = config.batch // processes
    micro = min(config.micro_batch, share)
    if share % micro:
        raise ValueError(f"each process has {share} samples a step, not a multiple of micro_batch {micro}.")
    if micro % config.views:
        raise ValueError(f"the {micro} samples a process holds are not whole scenes of {config.views} views.")
    return micro, share // micro


def parameters_to_train(network: Any, config: RunConfig, unused: tuple[str, ...]) -> dict[str, torch.nn.Parameter]:
    """Return by name the parameters that ``train`` names, ``freeze`` does not, and the objective uses.

    ``unused`` are prefixes of the parameters that have no part in the objective.

    Raises:
        ValueError: Nothing is left, or a pattern matches no parameter.
    """
    named = dict(network.named_parameters())
    for pattern in config.freeze:
        if not any(fnmatchcase(name, pattern) for name in named):
            raise ValueError(f"freeze: {pattern!r} matches no parameter of the network.")
    chosen = {
        name: parameter
        for name, parameter in named.items()
        if name.startswith(tuple(config.train))
        and not name.startswith(unused)
        and not any(fnmatchcase(name, pattern) for pattern in config.freeze)
    }
    if not chosen:
        raise ValueError(f"train: {config.train} matches no parameter that this stage's objective uses.")
    return chosen


def check_prefixes(network: Any, scales: dict[str, float]) -> None:
    """Raise ValueError for a prefix in ``scales`` that fits no parameter of the network."""
    names = [name for name, _ in network.named_parameters()]
    if missing := [prefix for prefix in scales if not any(name.startswith(prefix) for name in names)]:
        raise ValueError(f"optimizer.scales: {', '.join(missing)} match no parameter of the network.")


def rate_groups(trained: dict[str, torch.nn.Parameter], scales: dict[str, float]) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer, each with its factor on the learning rate (``scale``).

    The factor is that of the longest prefix in ``scales`` that matches, or 1.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in trained.items():
        fits = max((prefix for prefix in scales if name.startswith(prefix)), key=len, default="")
        group = groups.setdefault(fits, {"params": [], "scale": scales.get(fits, 1.0)})
        group["params"].append(parameter)
    return list(groups.values())
