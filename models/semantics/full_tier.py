"""The full tier: captioner and text encoders, large models that are loaded for one answer and freed after it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models import hub
from models.errors import ModelError
from models.loading import load_part
from models.runtime import torch_dtype

PROMPT = "a photo of"
MAX_NEW_TOKENS = 30  # of a caption
MAX_SIDE_PX = 768  # longest side handed to the captioner, which resizes it
TEXT_ENCODER_TASK = "text-encoder"  # in the catalog
CLIP, GEMMA = "CLIPTextModel", "Gemma2Model"
SANA_MAX_TOKENS = 300  # as in SanaPipeline


@contextmanager
def temporary_model(holder: Any, model: torch.nn.Module) -> Iterator[None]:
    """Context in which ``model`` may be used; on exit its weights are freed, and ``holder`` becomes unusable."""
    try:
        with torch.inference_mode():
            yield
    finally:
        model.to("meta")  # remaining references (a traceback, a pipeline's caches) hold no memory
        if hasattr(holder, "model"):
            holder.model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def caption(photo: np.ndarray, folder: Path, device: str = "cpu", dtype: str = "float32") -> str:
    """Describe ``photo`` (H x W x 3 in [0, 1]) in a sentence, by BLIP (arXiv 2201.12086) or such. Raises ModelError."""
    from transformers import pipeline

    image = Image.fromarray((np.clip(photo, 0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    try:  # in transformers 5 this pipeline continues the text it is given
        captioner = pipeline("image-text-to-text", model=str(folder), device=device, dtype=torch_dtype(dtype))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"The model folder '{folder.name}' holds no captioner that transformers can load"
        raise ModelError(f"{what}: restore it, or choose another model of the task caption.") from error
    with temporary_model(captioner, captioner.model):
        kwargs = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False}
        answer = captioner(images=image, text=PROMPT, generate_kwargs=kwargs)
    return " ".join(str(answer[0]["generated_text"]).split())


class BaseTextEncoder:
    """Encodes text to the tokens that a base model's cross-attention was trained with: 1 x N x dim.

    ``folder`` has ``text_encoder/`` and ``tokenizer/``, as diffusers keeps them. CLIP (Stable Diffusion) gives all 77
    tokens, padding included; Gemma (SANA) those of the words. Raises ModelError where the folder holds neither.
    """

    def __init__(self, folder: Path, device: str = "cpu", dtype: str = "float32") -> None:
        self.folder, self.device, self.dtype = folder, device, torch_dtype(dtype)

    def __call__(self, text: str) -> Tensor:
        """Encode ``text`` to 1 x N x dim; see the class."""
        from transformers import AutoConfig, AutoTokenizer, CLIPTextModel, Gemma2Model

        kinds = {CLIP: CLIPTextModel, GEMMA: Gemma2Model}
        try:
            named = (AutoConfig.from_pretrained(self.folder / "text_encoder").architectures or ["nothing"])[0]
            tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer")
        except (OSError, ValueError, KeyError) as error:
            what = "has no readable text_encoder and tokenizer"
            raise ModelError(f"The model folder '{self.folder.name}' {what}: restore it.") from error
        kind = next((kinds[name] for name in kinds if named in (name, name.replace("Model", "ForCausalLM"))), None)
        if kind is None:
            known = f"only {CLIP} (Stable Diffusion) and {GEMMA} (SANA) are known"
            raise ModelError(f"The text encoder of '{self.folder.name}' is a {named}: {known}.")
        model = load_part(kind, self.folder, "text_encoder", self.dtype).eval().to(self.device)
        with temporary_model(None, model):
            if kind is CLIPTextModel:
                options = {"padding": "max_length", "max_length": model.config.max_position_embeddings}
            else:
                text, options = text.lower().strip(), {"max_length": SANA_MAX_TOKENS}  # as SANA was trained
            given = tokenizer(text, truncation=True, return_tensors="pt", **options).to(self.device)
            if kind is CLIPTextModel:
                tokens: Tensor = model(given.input_ids).last_hidden_state
            else:
                tokens = model(given.input_ids, attention_mask=given.attention_mask).last_hidden_state
                tokens = tokens[given.attention_mask.bool()][None]
            return tokens.clone()


class NamedTextEncoder:
    """:class:`BaseTextEncoder` of a catalog id, resolved on the first text. Raises ModelError then."""

    def __init__(self, model_id: str, device: str = "cpu", dtype: str = "float32") -> None:
        self.model_id, self.device, self.dtype = model_id, device, dtype

    def __call__(self, text: str) -> Tensor:
        """Encode ``text`` to 1 x N x dim, once the model is resolved."""
        hub.Catalog.load().get(self.model_id, TEXT_ENCODER_TASK)  # raises for a model of another task
        return BaseTextEncoder(hub.resolve(self.model_id).folder, self.device, self.dtype)(text)
