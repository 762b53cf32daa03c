"""What the cards of models of semantic guidance say."""

from collections.abc import Sequence
from typing import Any

from training.tasks.task import CardText


def details(network: dict[str, Any], configs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the number of tags that it knows."""
    return {"count": len(network.get("tags") or [])}


CARD = CardText(
    tag="image-tagging",
    task="Coarse tags of degraded photos",
    use="""**Use it for** a first guess at what a blurred photo, or one taken through glass, shows, which a
person may correct, to guide Limpid's restorers. It takes a few hundredths of a second on any CPU, whatever the
photo's size.

**It does not** recognise photos as networks trained on millions of them do: it learnt from 1,320 photos, of one class
each, and knows coarse tags alone. Of three answers often none is right. A score is no proof that something is
there. It must not be used to recognise people or to decide about anyone.""",
    how="""The whole photo is squeezed into squares of {sizes} px. Dense SIFT descriptors of its patches, with
their colour and place, are compared with a codebook of {gaussians} Gaussians fitted to the training photos (a Fisher
vector); one linear layer turns that into the scores of {count} coarse tags. Photo and mirror image are looked at.
Trained on photos that are sharp, behind simulated glass, or blurred by the pattern simulator.""",
    details=details,
    field="semantic-guidance",
    pipeline_tag="image-classification",
    command="training.tasks.semantics.evaluation",
)
