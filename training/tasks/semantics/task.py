"""Semantic guidance, as the trainer and the publisher read it."""

from training.tasks.semantics.card import CARD
from training.tasks.semantics.config import SemanticRun
from training.tasks.task import Components, Task


def components(config: SemanticRun) -> Components:
    """Give the classes that a run is made of."""
    from models.semantics.network import TagNetwork
    from training.tasks.semantics.dataset import TaggedPhotos
    from training.tasks.semantics.objective import CODEBOOK, SemanticObjective, fit_codebook
    from training.tasks.semantics.validation import SemanticValidator

    return Components(TagNetwork, TaggedPhotos, SemanticObjective, CODEBOOK, SemanticValidator, fit_codebook)


TASK = Task("semantics", SemanticRun, "SemanticsPipeline", components, CARD)
