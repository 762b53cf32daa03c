"""What differs between the tasks that `training.train` knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diffusers import ModelMixin

from models.deblur.network import Deblur
from models.dereflection.small import SmallDereflection
from training import deblur_objective, objective
from training.config import RunConfig
from training.data.blurred import Blurs
from training.data.reflections import Reflections
from training.deblur_validate import DeblurValidator
from training.restorer import pipeline_named
from training.validate import Validator


@dataclass(frozen=True)
class Task:
    """The parts of a run: each is called with the run's configuration (``source`` with its data and seed).

    ``unused``: prefixes of the parameters without a part in the objective, for whose gradients DDP would wait.
    """

    network: type[ModelMixin]
    source: Callable[..., Any]
    objective: Callable[..., Any]
    unused: Callable[..., tuple[str, ...]]
    validator: Callable[..., Any]
    pipeline_name: str

    def pipeline(self) -> Any:
        """The class of the pipeline the trained network becomes."""
        return pipeline_named(self.pipeline_name)


def _untold(config: RunConfig) -> tuple[str, ...]:
    """The table of tags, where the samples have none."""
    return () if config.data.guidance else ("guide.",)


TASKS = {
    "dereflection": Task(
        SmallDereflection,
        Reflections,
        objective.build_objective,
        lambda config: objective.UNUSED[config.objective] + _untold(config),
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
}


def task_of(config: RunConfig) -> Task:
    return TASKS[config.task]
