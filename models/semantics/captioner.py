"""The full tier's captioner: transformers' image-to-text pipeline (BLIP, arXiv 2201.12086, and similar models).

transformers 5 calls that pipeline "image-text-to-text": it continues the text it is given.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from models.errors import ModelError
from models.runtime import torch_dtype
from models.semantics.temporary_model import temporary_model

PROMPT = "a photo of"
MAX_NEW_TOKENS = 30  # tokens of a caption
MAX_SIDE_PX = 768  # px, the longest side handed to the captioner, which makes its own size of it


def caption(photo: np.ndarray, folder: Path, device: str = "cpu", dtype: str = "float32") -> str:
    """Describe ``photo`` (H x W x 3, sRGB in [0, 1]) in one sentence; the model is loaded for it, and freed after.

    Deterministic (no sampling). Raises ModelError where ``folder`` holds no image-to-text model.
    """
    from transformers import pipeline

    image = Image.fromarray((np.clip(photo, 0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    try:
        speaker = pipeline("image-text-to-text", model=str(folder), device=device, dtype=torch_dtype(dtype))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The model folder '{folder.name}' holds no captioner that transformers can load: restore it, or choose "
            "another model of the task caption."
        ) from error
    with temporary_model(speaker, speaker.model):
        kwargs = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False}
        said = speaker(images=image, text=PROMPT, generate_kwargs=kwargs)
    return " ".join(str(said[0]["generated_text"]).split())
