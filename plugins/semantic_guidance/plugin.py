"""The semantic guidance plugin, a wrapper of ``models.semantics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from plugins.contract import Cost, Guidance, LoadContext, Picture, RunContext, Size, Tag

if TYPE_CHECKING:
    from models.hub import LocalModel
    from models.semantics.pipeline import Diagnosis, SemanticsPipeline

CAPTION_TASK = "caption"
MIN_TAGS, MAX_TAGS = 1, 28


class SemanticGuidance:
    """Words with scores and a diagnosis, from the photo; or words from a description by a person."""

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
        """Return all tags it can give: everyday words, and the coarse tags above them."""
        from models.semantics.vocabulary import vocabulary

        known = vocabulary()
        return tuple(dict.fromkeys([*known.words, *known.tags]))

    def load(self, model: LocalModel | None, ctx: LoadContext) -> None:
        """Load the tagging model."""
        from models.semantics.pipeline import SemanticsPipeline

        assert model is not None  # plugin.toml names a task
        self._name, self._runtime = model.id, ctx.runtime
        self._pipeline = SemanticsPipeline.from_pretrained(model.folder, device=ctx.runtime.device)

    def cost(self, size: Size, params: Any) -> Cost:
        """Return typical values; a captioning model dominates them."""
        return Cost(0.1, 60.0) if not params.captioner else Cost(6.0, 2500.0)

    def run(self, picture: Picture, params: Params, ctx: RunContext) -> Guidance:
        """Return the tags of ``params.text`` if given, else the likeliest of the picture, a caption and a diagnosis."""
        from models.semantics.vocabulary import MAX_TEXT_LENGTH, read_words, vocabulary

        broader = vocabulary().words
        if params.text.strip():
            reading = read_words(params.text)
            ctx.notes.extend(reading.notes)
            caption = " ".join(params.text[:MAX_TEXT_LENGTH].split())
            tags = [Tag(name, 1.0, broader.get(name, "")) for name in reading.tags]
            return Guidance(caption if tags else "", tags, "your words")
        seen = self._pipeline(picture.pixels)
        scores = {tag.name: tag.score for tag in (*seen.words, *seen.tags)}
        kept = [tag.name for tag in seen.words[: params.most]]
        caption, model = f"A photo of: {', '.join(kept)}?", self._name  # the question mark: they are guesses
        if params.captioner:
            caption, model = self._caption(picture, params.captioner), f"{model}, caption by {params.captioner}"
            kept += [name for name in read_words(caption).tags if name in scores and name not in kept]
        tags = [Tag(name, scores[name], broader.get(name, "")) for name in kept]
        return Guidance(caption, tags, model, as_values(seen.diagnosis))

    def _caption(self, picture: Picture, captioner: str) -> str:
        from models import hub
        from models.semantics.full_tier import caption

        hub.Catalog.load().get(captioner, CAPTION_TASK)  # raises for a model of another task
        folder = hub.resolve(captioner).folder
        return caption(picture.pixels, folder, self._runtime.device, self._runtime.dtype)


def as_values(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON values, rounded to 4 decimals; see `plugins.contract.Guidance`."""
    return {
        "reflection": {
            "likelihood": round(diagnosis.reflected, 4),
            "strength": round(diagnosis.reflection, 4),
            "found": "reflection" in diagnosis.found,
        },
        "blur": {
            "likelihood": round(diagnosis.blurred, 4),
            "strength": round(diagnosis.blur, 4),
            "kind": diagnosis.kind,
            "kinds": {kind: round(share, 4) for kind, share in diagnosis.kinds.items()},
            "found": "blur" in diagnosis.found,
        },
    }
