"""Deblurring, as the trainer and the publisher read it."""

from __future__ import annotations

from collections.abc import Iterator

from training.tasks.deblur.card import CARD
from training.tasks.deblur.config import DeblurRun
from training.tasks.task import Components, Example, Task, unused_tags


def components(config: DeblurRun) -> Components:
    """Give the classes that a run is made of."""
    from models.deblur.network import Deblur
    from training.tasks.deblur.dataset import Blurs
    from training.tasks.deblur.objective import DeblurObjective, unused
    from training.tasks.deblur.validation import DeblurValidator

    return Components(
        Deblur,
        Blurs,
        DeblurObjective,
        lambda config: unused(config.parts) + unused_tags(config),
        DeblurValidator,
    )


def examples(config: DeblurRun) -> Iterator[Example]:
    """Simulated blurred photos."""
    from training.tasks.deblur.examples import blurred

    return blurred(config)


TASK = Task("deblur", DeblurRun, "DeblurPipeline", components, CARD, "blur", examples)
