"""What a model card says of each task's models; figures are not here, they come from records and reports."""

from __future__ import annotations

TEXTS: dict[str, dict[str, str]] = {
    "dereflection": {
        "tag": "reflection-removal",
        "task": "Reflection removal",
        "use": """**Use it for** photos taken through a window, of a screen or behind museum glass, to reduce what the
glass reflects. It is small enough for any CPU.

**It does not** bring back what a reflection hides: it has no generative prior. Strong, sharp reflections and
saturated lights stay in part. It is not for measuring, for evidence, or for making out what somebody hid on
purpose. It changes the tone of a picture a little even where there is nothing to remove (see below).""",
        "how": """An encoder of EfficientNet-Lite0's layout gives latent and skips of the whole photo at {working_size}
px; a small `UNet2DConditionModel` takes **one** diffusion-style step on the photo's own latent, under cross-attention
to guidance tokens (a learned null token stands for none); the decoder, its skips gated, gives a gain and an offset per
pixel, which are enlarged and applied to the photo at its own size. A second head, used in training alone, gives the
reflection. A hint of where the reflection is (a mask) is a further input. {local}{told}""",
    },
    "deblur": {
        "tag": "deblurring",
        "task": "Deblurring",
        "use": """**Use it for** photos blurred by a shaken camera, by what moved, or by a missed focus. It is small
enough for any CPU.

**It does not** bring back what blur has wiped out: it was trained from nothing on two thousand photos and has no
generative prior. Long, winding motion stays in part. It is not for measuring, for evidence, or for making out what
somebody hid on purpose.""",
        "how": """A motion estimator reads the blur of each place off the spectra of overlapping windows and off the
picture; a Wiener step undoes that blur, in the photo's light and in learned features of it;{undone} a convolutional
network without any mean over the picture joins what is right in each (the pre-reconstruction) and aligns what it
knows with a latent. The photo's latent, the aligned latent and the blur field pass a few blocks of SANA's linear
transformer in **one** step, under cross-attention to guidance tokens (a learned null token stands for none); the
decoder takes detail from the pre-reconstruction and adds to it.{step}{told}""",
    },
    "semantics": {
        "tag": "image-tagging",
        "field": "semantic-guidance",
        "pipeline": "image-classification",
        "task": "Coarse tags of degraded photos",
        "command": "training.semantic_evaluate",
        "use": """**Use it for** a first guess at what a blurred photo, or one taken through glass, shows, which a
person may correct, to guide Limpid's restorers. It takes a few hundredths of a second on any CPU, whatever the
photo's size.

**It does not** recognise photos as networks trained on millions of them do: it learnt from 1,320 photos, of one class
each, and knows coarse tags alone. Of three answers often none is right. A score is no proof that something is
there. It must not be used to recognise people or to decide about anyone.""",
        "how": """The whole photo is squeezed into squares of {sizes} px. Dense SIFT descriptors of its patches, with
their colour and place, are compared with a codebook of {gaussians} Gaussians fitted to the training photos (a Fisher
vector); one linear layer turns that into the scores of {count} coarse tags. Photo and mirror image are looked at.
Trained on photos that are sharp, behind simulated glass, or blurred by the pattern simulator.""",
    },
}

LOCAL = {
    True: "A local network then works at full resolution.",
    False: "Its local network, for full resolution after that, was not trained and is passed over.",
}

STEP = {
    True: " Its decoder besides says, place by place, by how much to raise the pre-reconstruction's bands of detail;"
    " `detail` goes from the pre-reconstruction (0) to all of that (1).",
    False: " Transformer and decoder were not trained yet and are passed over: the result is the pre-reconstruction,"
    " and `detail` has no effect.",
}

UNDONE = {
    True: " besides, one kernel of any shape is looked for blindly in the whole photo (L0-regularised gradients and"
    " least squares, from coarse to fine) and undone;",
    False: "",
}

TOLD = {
    True: " {count} tags may guide it: they scale and shift its features. Without them nothing of that has a part.",
    False: "",
}
