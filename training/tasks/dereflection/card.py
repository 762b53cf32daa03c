"""What the cards of models of dereflection say."""

from collections.abc import Sequence
from typing import Any

from training.tasks.task import CardText, tags_sentence

LOCAL = {
    True: "A local network then works at full resolution.",
    False: "Its local network, for full resolution after that, was not trained and is passed over.",
}


def details(network: dict[str, Any], configs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Say whether the local network was trained, and what tags do."""
    local = any(config.get("objective") == "local" for config in configs)
    return {"local": LOCAL[local], "guidance": tags_sentence(network)}


CARD = CardText(
    tag="reflection-removal",
    task="Reflection removal",
    use="""**Use it for** photos taken through a window, of a screen or behind museum glass, to reduce what the
glass reflects. It is small enough for any CPU.

**It does not** bring back what a reflection hides: it has no generative prior. Strong, sharp reflections and
saturated lights stay in part. It is not for measuring, for evidence, or for making out what somebody hid on
purpose. It changes the tone of a picture a little even where there is nothing to remove (see below).""",
    how="""An encoder of EfficientNet-Lite0's layout gives latent and skips of the whole photo at {working_size}
px; a small `UNet2DConditionModel` takes **one** diffusion-style step on the photo's own latent, under cross-attention
to guidance tokens (a learned null token stands for none); the decoder, its skips gated, gives a gain and an offset per
pixel, which are enlarged and applied to the photo at its own size. A second head, used in training alone, gives the
reflection. A hint of where the reflection is (a mask) is a further input. {local}{guidance}""",
    details=details,
)
