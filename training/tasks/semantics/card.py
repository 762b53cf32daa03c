"""What the cards of models of semantic guidance say."""

from collections.abc import Sequence
from typing import Any

from models.semantics.vocabulary import vocabulary
from training.tasks.task import CardText


def details(network: dict[str, Any], configs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the numbers of words and of coarse tags."""
    known = vocabulary()
    return {"words": len(known.words), "tags": len(known.tags)}


CARD = CardText(
    tag="image-tagging",
    task="Words for what a degraded photo shows, and what is wrong with it",
    use="""**Use it for** a guess at what a photo shows, blurred or behind glass as it is, and for a diagnosis: is there
a reflection, is it blurred, how strongly, and in what way. Limpid's automatic mode picks the restorers by it. It takes
about a tenth of a second on a CPU, whatever the photo's size.

**It does not** know what is not among ImageNet's 1,000 classes: many things of every day, and nearly all about people.
It names what fills the photo, not all that is in it. A score is no proof that something is there. The diagnosis was
learnt from simulated blur and glass, and a small number of real photos through glass: it misses faint reflections, and
may take a picture in a picture for one, or a soft background for blur. It must not be used to recognise people or to
decide about anyone.""",
    how="""EfficientNet-Lite0 (Tan and Le, ICML 2019) with its ImageNet classifier. The whole photo is looked at with
about {size} x {size} px, its shape kept. The probabilities of the 1,000 classes are added up to {words} everyday words,
and to {tags} coarse tags above them (`models/semantics/words.csv`, by WordNet's hierarchy). Fine-tuned by
self-distillation: what the published network says of a sharp photo, this one learnt to say of the same photo behind
simulated glass, or blurred by the pattern simulator. The published weights were trained on all 1,000 classes: classes
that are held out here were held out from the fine-tuning alone, and some test photos may be among ImageNet's own
training photos.

Two heads of {hidden} hidden units make the diagnosis. They read the mean and spread of the features of the levels from
1/8 to 1/32, and those of the first levels on a larger picture (shorter side {detail_size} px), where blur shows.
Their likelihoods were calibrated by temperature, and the likelihoods above which a photo is said to be reflected or
blurred chosen, on held-out photos.""",
    details=details,
    field="semantic-guidance",
    pipeline_tag="image-classification",
    command="training.tasks.semantics.evaluation",
)
