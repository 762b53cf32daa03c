"""What differs between the tasks that `training.train` knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from models.deblur.network import Deblur
from models.dereflection.full import FullDereflection
from models.dereflection.small import SmallDereflection
from models.semantics.network import TagNetwork
from training import deblur_objective, objective
from training.config import DereflectionRun, PhotoConfig, RunConfig
from training.data.blurred import Blurs
from training.data.reflections import Reflections
from training.data.tagged import TaggedPhotos
from training.deblur_validate import DeblurValidator
from training.restorer import pipeline_named
from training.semantic_objective import CODEBOOK, SemanticObjective, fit_codebook
from training.semantic_validate import SemanticValidator
from training.validate import Validator


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
    return () if config.data.guidance else deblur_objective.TOLD


TASKS = {
    "dereflection": Task(
        SmallDereflection,
        Reflections,
        objective.build_objective,
        lambda config: objective.UNUSED[config.tier][config.objective] + _untold(config),
        Validator,
        "DereflectionPipeline",
    ),
    "deblur": Task(
        Deblur,
        Blurs,
        deblur_objective.DeblurObjective,
        lambda config: deblur_objective.unused(config.parts) + _untold(config),
        DeblurValidator,
        "DeblurPipeline",
    ),
    "semantics": Task(
        TagNetwork,
        TaggedPhotos,
        SemanticObjective,
        lambda config: CODEBOOK,
        SemanticValidator,
        "SemanticsPipeline",
        fit_codebook,
    ),
}


def task_of(config: RunConfig) -> Task:
    task = TASKS[config.task]
    full = isinstance(config, DereflectionRun) and config.tier == "full"
    return replace(task, network=FullDereflection) if full else task
