"""Deblurring, as the trainer and the publisher read it."""

from training.tasks.deblur.card import CARD
from training.tasks.deblur.config import DeblurRun
from training.tasks.deblur.examples import blurred
from training.tasks.task import Components, Task, unused_tags


def components(config: DeblurRun) -> Components:
    """Give the classes that a run is made of."""
    from models.deblur.network import Deblur
    from training.tasks.deblur.dataset import Blurs
    from training.tasks.deblur.objective import DeblurObjective, unused
    from training.tasks.deblur.validation import DeblurValidator

    given = unused(config.parts) + unused_tags(config)
    return Components(Deblur, Blurs, DeblurObjective, given, DeblurValidator)


TASK = Task("deblur", DeblurRun, "DeblurPipeline", components, CARD, "blur", blurred)
