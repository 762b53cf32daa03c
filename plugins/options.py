"""The options that every restorer has beside its own parameters, in the order of the API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from plugins import schema

Format = Literal["png", "jpeg", "webp", "tiff"]
GuidanceMode = Literal["off", "automatic", "edited"]
KeepMetadata = Literal["none", "without_location", "all"]
DEFAULT_STEP = "dereflection"
"""The step where none is named. Where it cannot be used, that is an error: another restorer gives another picture."""
AUTO = "auto"
"""In place of steps: those that the diagnosis of DEFAULT_GUIDE calls for. Where it cannot be made, that is an error."""
CURES = {"reflection": "dereflection", "blur": "deblur"}
"""Fault of a photo -> the restorer against it, in the order in which they run."""
DEFAULT_GUIDE = "semantic_guidance"
"""The guide that is asked; where it cannot be used, a note names the one asked in its place."""


class HostOptions(BaseModel):
    """The host's options. Their order is part of the API: only append."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    strength: float = Field(
        default=1.0, ge=0.0, le=1.0, description="How much of the change to apply: 0 leaves the photo, 1 is all of it."
    )
    model: str | None = Field(default=None, description="Id of a model in the list of models; empty for the usual one.")
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="The same photo, options and seed give the same file, byte for byte."
    )
    mask: Path | None = Field(
        default=None, description="A picture over the photo: white is restored, black is left exactly as it was."
    )
    format: Format = Field(default="png", description="Format of the result. All but JPEG are lossless.")
    keep_metadata: KeepMetadata = Field(
        default="none", description="EXIF and XMP to keep: none, without_location (EXIF without GPS), or all."
    )

    guidance: GuidanceMode = Field(
        default="off",
        description="What the photo shows may steer how it is restored: off, automatic (a guide looks at the photo) "
        "or edited (guidance_text says it).",
    )
    guidance_text: str = Field(
        default="", description="With guidance edited: what the photo shows, in English words, such as “dog, beach”."
    )

    @classmethod
    def of(cls, values: HostOptions | Mapping[str, Any] | None) -> HostOptions:
        """Validate ``values``; None and "" stand for the default. Raises FormError."""
        if isinstance(values, HostOptions):
            return values
        return schema.validate(cls, {name: value for name, value in (values or {}).items() if value not in (None, "")})


RESERVED_NAMES = frozenset(HostOptions.model_fields) | {"image", "steps", "params", "guidance", "out", "progress"}
"""Names of arguments of endpoints and the command line, which Params and plugin ids must not use."""
