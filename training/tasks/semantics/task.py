"""Semantic guidance, as the trainer and the publisher read it."""

from training.tasks.semantics.card import CARD
from training.tasks.semantics.config import SemanticRun
from training.tasks.task import Components, Task


def components(config: SemanticRun) -> Components:
    """Give the classes that a run is made of."""
    from models.semantics.network import SemanticsNetwork
    from training.tasks.semantics.dataset import DegradedPhotos
    from training.tasks.semantics.objective import DIAGNOSIS, DISTILL, SemanticObjective
    from training.tasks.semantics.validation import SemanticValidator

    diagnosed, distilled = set(DIAGNOSIS) & set(config.losses), DISTILL in config.losses
    unused = [] if diagnosed else ["diagnosis."]
    unused += [] if distilled else ["encoder.", "head.", "classifier."]
    return Components(SemanticsNetwork, DegradedPhotos, SemanticObjective, tuple(unused), SemanticValidator)


TASK = Task("semantics", SemanticRun, "SemanticsPipeline", components, CARD)
