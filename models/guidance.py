"""Guidance of a restorer by what a photo shows: tags with scores, or text, become tokens of its diffusion step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor, nn

MAX_TAG_TOKENS = 4  # a fixed number, or a sample would depend on the others of its batch
TAG_PARAMETER_PREFIXES = ("guide.", "modulation.")  # of the parameters of :class:`Guided`
Modulations = Sequence[tuple[Tensor, Tensor]]


class TagTokens(nn.Module):
    """A table of one learned vector a tag, ``names`` in order.

    It starts at zero, where every tag equals the null token, and is scaled by the root of ``dim`` (Vaswani et al.,
    2017), since small tokens hardly train the attention that reads them. The mean of all vectors is subtracted from
    each, so that they do not learn what all photos of a stage have in common.
    """

    def __init__(self, names: Sequence[str], dim: int) -> None:
        super().__init__()
        self.names = tuple(names)
        if len({name.casefold() for name in self.names}) < len(self.names) or not all(map(str.strip, self.names)):
            raise ValueError(f"tags must be names that differ, in more than their case: {', '.join(self.names)}")
        self.table = nn.Parameter(torch.zeros(len(self.names), dim))

    def forward(self, scores: Tensor, null: Tensor) -> Tensor:
        """Turn ``scores``, B x tags in [0, 1], into tokens, B x `MAX_TAG_TOKENS` (or the number of tags) x dim.

        Each of the strongest tags gives the null token (1 x 1 x dim) plus its score times its scaled vector.
        """
        values, places = scores.sort(dim=1, descending=True, stable=True)
        values, places = values[:, :MAX_TAG_TOKENS], places[:, :MAX_TAG_TOKENS]
        values = values * null.shape[-1] ** 0.5
        # A product instead of indexing, whose gradient is summed in no fixed order on a GPU.
        weights = F.one_hot(places, len(self.names)).to(null.dtype) * values[..., None].to(null.dtype)
        return null + weights @ (self.table - self.table.mean(0))

    def read(self, tags: Mapping[str, float]) -> tuple[Tensor, list[str], list[str]]:
        """Turn names with scores into 1 x tags; also returns unknown and surplus names. Raises ValueError for NaN."""
        places = {name.casefold(): place for place, name in enumerate(self.names)}
        scores, unknown = torch.zeros(1, len(self.names)), []
        for name, score in tags.items():
            if not math.isfinite(score):
                raise ValueError(f"The tag '{name}' has no number for a score: {score}.")
            if (place := places.get(name.strip().casefold())) is None:
                unknown.append(name)
            else:
                scores[0, place] = max(float(scores[0, place]), min(max(score, 0.0), 1.0))
        order = scores[0].sort(descending=True, stable=True).indices.tolist()
        return scores, unknown, [self.names[place] for place in order[MAX_TAG_TOKENS:] if scores[0, place] > 0]


class Modulation(nn.Module):
    """Scale and shift of features by tokens less the null token (FiLM, Perez et al., AAAI 2018), without biases."""

    def __init__(self, dim: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Linear(dim, 2 * count, bias=False) for count in channels)

    def forward(self, tokens: Tensor, null: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each level's scale and shift, B x channels x 1 x 1, for ``tokens``, B x N x dim."""
        difference = (tokens - null).to(null.dtype).sum(1)
        pairs = (level(difference)[..., None, None].chunk(2, 1) for level in self.levels)
        return [(1 + scale, shift) for scale, shift in pairs]


def modulated(x: Tensor, by: Modulations | None, level: int) -> Tensor:
    """Apply the scale and shift of one level to features; None leaves them as they are."""
    if by is None:
        return x
    scale, shift = by[level]
    return x * scale.to(x.dtype) + shift.to(x.dtype)


class Guided(ModelMixin, ConfigMixin):
    """Base of networks that tags may guide; ``guide`` and ``modulation`` are None in checkpoints without guidance."""

    token_dim: int
    null_token: nn.Parameter
    guide: TagTokens | None
    modulation: Modulation | None
    modulated_channels: Sequence[int]

    def add_tags(self, names: Sequence[str]) -> None:
        """Add a table for tags and a modulation to a network without; its output changes only by training."""
        self.guide = TagTokens(names, self.token_dim).to(self.null_token)
        self.modulation = Modulation(self.token_dim, self.modulated_channels).to(self.null_token)
        self.register_to_config(tags=tuple(names))

    def modulations(self, tokens: Tensor | None) -> Modulations | None:
        """Return the scales and shifts for tokens; None without tokens, and for a network without tags."""
        return None if tokens is None or self.modulation is None else self.modulation(tokens, self.null_token)

    def tokens(self, scores: Tensor | None) -> Tensor | None:
        """Turn scores, B x tags in [0, 1], into tokens, B x N x token_dim; None stays None."""
        return None if scores is None or self.guide is None else self.guide(scores, self.null_token)


class GuidedPipeline:
    """Base of pipelines that turn guidance into tokens of their network.

    Attributes:
        network: The network.
        text_model: Catalog id of the text encoder with whose tokens the checkpoint was trained ("text_encoder" in
            pipeline.json), or "".
        text_encoder: That encoder, text to 1 x N x token_dim; set by whoever loads the pipeline.
    """

    network: Any
    text_model: str = ""
    text_encoder: Callable[[str], Tensor] | None = None

    def guidance_tokens(self, tags: Mapping[str, float], caption: str = "") -> tuple[Tensor | None, list[str]]:
        """Return the tokens for tags (name -> score) and a caption, or None, and sentences on what was not used."""
        if not tags and not caption.strip():
            return None, ["The guidance was empty; this ran without."]
        if self.text_model:
            if self.text_encoder is None:
                note = "This model is guided by its base model's text encoder, which is not loaded; it ran without."
                return None, [note]
            return self.text_encoder(caption.strip() or ", ".join(tags)), []
        guide: TagTokens | None = getattr(self.network, "guide", None)
        if guide is None:
            return None, ["This model was trained without guidance; it ran without."]
        scores, unknown, beyond = guide.read(tags)
        notes = [] if tags else ["This model is guided by tags; the caption had no part."]
        if unknown:
            names = ", ".join(f"'{name}'" for name in unknown)
            notes.append(f"This model does not know {names}, which had no part; it knows {', '.join(guide.names)}.")
        if beyond:
            strongest = f"This model is guided by the {MAX_TAG_TOKENS} strongest tags"
            notes.append(f"{strongest}; {', '.join(beyond)} had no part.")
        if not scores.any():
            return None, [*notes, "No tag was left to guide this model; it ran without."]
        return self.network.tokens(scores.to(self.network.null_token.device)), notes
