"""What differs between the tasks that `training.train` knows.

Each task's modules are imported when a run of it is made: they need libraries that others do not, and a packed run
(`training.pack`) has only its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.guidance import TAG_PARTS
from training.config import DereflectionRun, PhotoConfig, RunConfig
from training.restorer import pipeline_named


@dataclass(frozen=True)
class Task:
    """The parts of a run: each is called with the run's configuration (``source`` with its data and seed).

    ``unused``: prefixes of the parameters without a part in the objective, for whose gradients DDP would wait.
    ``prepare``, called with network, source and configuration, gives a new network what is not learnt by gradient.
    """

    network: type[nn.Module]
    source: Callable[..., Any]
    objective: Callable[..., Any]
    unused: Callable[..., tuple[str, ...]]
    validator: Callable[..., Any]
    pipeline_name: str
    prepare: Callable[..., None] | None = None

    def pipeline(self) -> Any:
        """The class of the pipeline the trained network becomes."""
        return pipeline_named(self.pipeline_name)


def _untold(config: RunConfig) -> tuple[str, ...]:
    """The table of tags and what they act by, where the samples have none."""
    assert isinstance(config.data, PhotoConfig)
    return () if config.data.guidance else TAG_PARTS


def dereflection(config: RunConfig) -> Task:
    from models.dereflection.full import FullDereflection
    from models.dereflection.small import SmallDereflection
    from training import objective
    from training.data.reflections import Reflections
    from training.validate import Validator

    assert isinstance(config, DereflectionRun)
    return Task(
        FullDereflection if config.tier == "full" else SmallDereflection,
        Reflections,
        objective.build_objective,
        lambda config: objective.unused(config) + _untold(config),
        Validator,
        "DereflectionPipeline",
    )


def deblur(config: RunConfig) -> Task:
    from models.deblur.network import Deblur
    from training import deblur_objective
    from training.data.blurred import Blurs
    from training.deblur_validate import DeblurValidator

    return Task(
        Deblur,
        Blurs,
        deblur_objective.DeblurObjective,
        lambda config: deblur_objective.unused(config.parts) + _untold(config),
        DeblurValidator,
        "DeblurPipeline",
    )


def semantics(config: RunConfig) -> Task:
    from models.semantics.network import TagNetwork
    from training.data.tagged import TaggedPhotos
    from training.semantic_objective import CODEBOOK, SemanticObjective, fit_codebook
    from training.semantic_validate import SemanticValidator

    return Task(
        TagNetwork,
        TaggedPhotos,
        SemanticObjective,
        lambda config: CODEBOOK,
        SemanticValidator,
        "SemanticsPipeline",
        fit_codebook,
    )


TASKS: dict[str, Callable[[RunConfig], Task]] = {
    "dereflection": dereflection,
    "deblur": deblur,
    "semantics": semantics,
}


def task_of(config: RunConfig) -> Task:
    """The parts of the run that ``config`` describes."""
    return TASKS[config.task](config)
