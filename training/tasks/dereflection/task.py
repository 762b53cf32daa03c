"""Dereflection, as the trainer and the publisher read it."""

from training.tasks.dereflection.card import CARD
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.dereflection.examples import behind_glass
from training.tasks.task import Components, Task, unused_tags


def components(config: DereflectionRun) -> Components:
    """Give the classes that a run is made of, of the small tier or the full one."""
    from models.dereflection.full import FullDereflection
    from models.dereflection.small import SmallDereflection
    from training.tasks.dereflection.dataset import LocalReflections, Reflections
    from training.tasks.dereflection.objective import build_objective, unused
    from training.tasks.dereflection.validation import Validator

    return Components(
        FullDereflection if config.tier == "full" else SmallDereflection,
        LocalReflections if config.objective == "local" else Reflections,
        build_objective,
        unused(config) + unused_tags(config),
        Validator,
    )


TASK = Task("dereflection", DereflectionRun, "DereflectionPipeline", components, CARD, "glass", behind_glass)
