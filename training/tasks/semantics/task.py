"""Semantic guidance, as the trainer and the publisher read it."""

from __future__ import annotations

from training.tasks.semantics.card import CARD
from training.tasks.semantics.config import SemanticRun
from training.tasks.task import Parts, Task


def parts(config: SemanticRun) -> Parts:
    """The parts of a run."""
    from models.semantics.network import TagNetwork
    from training.tasks.semantics.dataset import TaggedPhotos
    from training.tasks.semantics.objective import CODEBOOK, SemanticObjective, fit_codebook
    from training.tasks.semantics.validation import SemanticValidator

    return Parts(TagNetwork, TaggedPhotos, SemanticObjective, lambda config: CODEBOOK, SemanticValidator, fit_codebook)


TASK = Task("semantics", SemanticRun, "SemanticsPipeline", parts, CARD)
