"""What the cards of models of deblurring say."""

from collections.abc import Sequence
from typing import Any

from training.tasks.task import CardText, tags_sentence

STEP = {
    True: " Its decoder besides says, place by place, by how much to raise the pre-reconstruction's bands of detail;"
    " `detail` goes from the pre-reconstruction (0) to all of that (1).",
    False: " Transformer and decoder were not trained yet and are passed over: the result is the pre-reconstruction,"
    " and `detail` has no effect.",
}
KERNEL = (
    " besides, one kernel of any shape is looked for blindly in the whole photo (L0-regularised gradients and"
    " least squares, from coarse to fine) and undone;"
)


def details(network: dict[str, Any], configs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Say whether transformer and decoder were trained, whether a kernel is looked for, and what tags do."""
    step = any("output" in config.get("parts", {}) for config in configs)
    kernel = KERNEL if network.get("kernel") else ""
    return {"step": STEP[step], "blind": kernel, "guidance": tags_sentence(network)}


CARD = CardText(
    tag="deblurring",
    task="Deblurring",
    use="""**Use it for** photos blurred by a shaken camera, by what moved, or by a missed focus. It is small
enough for any CPU.

**It does not** bring back what blur has wiped out: it was trained from nothing on two thousand photos and has no
generative prior. Long, winding motion stays in part. It is not for measuring, for evidence, or for making out what
somebody hid on purpose.""",
    how="""A motion estimator reads the blur of each place off the spectra of overlapping windows and off the
picture; a Wiener step undoes that blur, in the photo's light and in learned features of it;{blind} a convolutional
network without any mean over the picture joins what is right in each (the pre-reconstruction) and aligns what it
knows with a latent. The photo's latent, the aligned latent and the blur field pass a few blocks of SANA's linear
transformer in **one** step, under cross-attention to guidance tokens (a learned null token stands for none); the
decoder takes detail from the pre-reconstruction and adds to it.{step}{guidance}""",
    details=details,
)
