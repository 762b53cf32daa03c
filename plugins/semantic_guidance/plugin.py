"""The semantic guidance plugin, a wrapper of ``models.semantics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Cost, Guidance, LoadContext, Picture, RunContext, Size, Tag

if TYPE_CHECKING:
    from models.hub import LocalModel
    from models.semantics.pipeline import SemanticsPipeline

CAPTION_TASK = "caption"
MIN_TAGS, MAX_TAGS = 1, 28


class SemanticGuidance:
    """Coarse tags with scores, from the photo or from a description by a person."""

    _pipeline: SemanticsPipeline

    class Params(BaseModel):
        """Parameters. Their order is part of the API: only append."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        text: str = Field(
            "",
            description="What the photo shows, in your own English words, instead of what the model makes of it: "
            "“a dog on the beach”, “car, street”. Words it does not know are named.",
        )
        most: int = Field(3, ge=MIN_TAGS, le=MAX_TAGS, description="How many tags to give, the most likely first.")
        captioner: str = Field(
            "",
            description="Id of a captioning model in the list of models, such as blip-caption, to put the photo into "
            "a sentence; it is large, loaded for this photo and freed after. Empty: the tags are the caption.",
        )

    @staticmethod
    def vocabulary() -> tuple[str, ...]:
        """Return all tags it can give."""
        from models.semantics.vocabulary import vocabulary

        return vocabulary().tags

    def load(self, model: LocalModel | None, ctx: LoadContext) -> None:
        """Load the tagging model."""
        from models.semantics.pipeline import SemanticsPipeline

        assert model is not None  # plugin.toml names a task
        self._name, self._runtime = model.id, ctx.runtime
        self._pipeline = SemanticsPipeline.from_pretrained(model.folder, device=ctx.runtime.device)

    def cost(self, size: Size, params: Any) -> Cost:
        """Return typical values; a captioning model dominates them."""
        return Cost(0.05, 20.0) if not params.captioner else Cost(6.0, 2500.0)

    def run(self, picture: Picture, params: Params, ctx: RunContext) -> Guidance:
        """Return the tags of ``params.text`` if given, else the likeliest tags of the picture and a caption."""
        from models.semantics.vocabulary import MAX_TEXT_LENGTH, read_words

        if params.text.strip():
            reading = read_words(params.text)
            ctx.notes.extend(reading.notes)
            caption = " ".join(params.text[:MAX_TEXT_LENGTH].split())
            return Guidance(caption if reading.tags else "", [Tag(name) for name in reading.tags], "your words")
        found = {tag.name: tag.score for tag in self._pipeline(picture.pixels)}
        kept = list(found)[: params.most]
        if not params.captioner:
            caption = f"A photo of: {', '.join(kept)}?"  # the question mark: they are guesses
            return Guidance(caption, [Tag(name, found[name]) for name in kept], self._name)
        caption = self._caption(picture, params.captioner)
        named = [name for name in read_words(caption).tags if name in found and name not in kept]
        tags = [Tag(name, found[name]) for name in [*kept, *named]]
        return Guidance(caption, tags, f"{self._name}, caption by {params.captioner}")

    def _caption(self, picture: Picture, captioner: str) -> str:
        from models import hub
        from models.semantics.full_tier import caption

        hub.Catalog.load().get(captioner, CAPTION_TASK)  # raises for a model of another task
        folder = hub.resolve(captioner).folder
        return caption(picture.pixels, folder, self._runtime.device, self._runtime.dtype)
