"""The full tier's text encoder: the base model's own, CLIP for Stable Diffusion, Gemma for SANA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from models.errors import ModelError
from models.loading import load_part
from models.runtime import torch_dtype
from models.semantics.temporary_model import temporary_model

TASK = "text-encoder"  # in the catalog
CLIP, GEMMA = "CLIPTextModel", "Gemma2Model"
SANA_MAX_TOKENS = 300  # tokens, as SanaPipeline has it


class BaseTextEncoder:
    """Encodes text to the tokens that a base model's cross-attention was trained with: 1 x N x dim.

    ``folder`` has ``text_encoder/`` and ``tokenizer/``, as diffusers keeps them. CLIP gives all 77 tokens, padding
    included, as Stable Diffusion uses them; Gemma those of the words, which is what SANA's mask leaves. The model is
    loaded for each call and freed after. Raises ModelError where the folder holds neither.
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
            raise ModelError(
                f"The model folder '{self.folder.name}' has no readable text_encoder and tokenizer: restore it."
            ) from error
        kind = next((kinds[name] for name in kinds if named in (name, name.replace("Model", "ForCausalLM"))), None)
        if kind is None:
            raise ModelError(
                f"The text encoder of '{self.folder.name}' is a {named}: only {CLIP} (Stable Diffusion) and {GEMMA} "
                "(SANA) are known."
            )
        model = load_part(kind, self.folder, "text_encoder", self.dtype).eval().to(self.device)
        with temporary_model(None, model):
            return self._tokens(model, tokenizer, text, kind is CLIPTextModel).clone()

    def _tokens(self, model: Any, tokenizer: Any, text: str, clip: bool) -> Tensor:
        if clip:
            options = {"padding": "max_length", "max_length": model.config.max_position_embeddings}
            given = tokenizer(text, truncation=True, return_tensors="pt", **options)
            tokens: Tensor = model(given.input_ids.to(self.device)).last_hidden_state
            return tokens
        words = text.lower().strip()  # as SANA was trained
        given = tokenizer(words, truncation=True, max_length=SANA_MAX_TOKENS, return_tensors="pt").to(self.device)
        tokens = model(given.input_ids, attention_mask=given.attention_mask).last_hidden_state
        return tokens[given.attention_mask.bool()][None]


class NamedTextEncoder:
    """:class:`BaseTextEncoder` of an id in the catalog, which is resolved, and downloaded, on the first text.

    Raises ModelError then, where it is unavailable.
    """

    def __init__(self, model_id: str, device: str = "cpu", dtype: str = "float32") -> None:
        self.model_id, self.device, self.dtype = model_id, device, dtype

    def __call__(self, text: str) -> Tensor:
        """Encode ``text`` to 1 x N x dim, once the model is resolved."""
        from models import hub

        hub.Catalog.load().get(self.model_id, TASK)  # a model for something else is refused by name
        return BaseTextEncoder(hub.resolve(self.model_id).folder, self.device, self.dtype)(text)
