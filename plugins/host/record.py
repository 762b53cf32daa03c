"""The run record: what was done to a photo, by which models, on what device. Its keys are part of the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.runtime import Runtime
from plugins import __version__
from plugins.contract import Guidance
from plugins.options import HostOptions


@dataclass
class StepRecord:
    """The record of one step. ``plan``: its tiles, or None."""

    id: str
    model: str | None
    revision: str | None
    runtime: Runtime
    params: dict[str, Any]
    plan: Any = None


@dataclass
class RunFacts:
    """Measurements and notes of a run. ``seconds`` leave out waiting and loading; memory is in MiB."""

    size: tuple[int, int]
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    guidance: Guidance | None = None
    diagnosis: dict[str, Any] | None = None
    """The diagnosis by which the steps were chosen automatically."""
    notes: list[str] = field(default_factory=list)


def build(steps: Sequence[StepRecord], facts: RunFacts, options: HostOptions) -> dict[str, Any]:
    """Return the record as JSON values.

    Of several steps, or of those chosen automatically, "steps" replaces "plugin", and model, revision, plan and params
    are dicts by step.
    """
    chain = len(steps) > 1 or facts.diagnosis is not None
    host = options.model_dump(
        mode="json", include={"strength", "mask", "format", "keep_metadata", "guidance", "guidance_text"}
    )
    host["mask"] = options.mask.name if options.mask else None  # without its folder

    def each(values: list[Any]) -> Any:
        return dict(zip((step.id for step in steps), values, strict=True)) if chain else values[0]

    def same(values: list[Any]) -> Any:
        if not values:
            return None
        return values[0] if all(value == values[0] for value in values) else each(values)

    return {
        **({"steps": [step.id for step in steps]} if chain else {"plugin": steps[0].id}),
        "model": each([step.model for step in steps]),
        "revision": each([step.revision for step in steps]),
        "device": same([step.runtime.device for step in steps]),
        "dtype": same([step.runtime.dtype for step in steps]),
        "attention": same([step.runtime.attention for step in steps]),
        "size": list(facts.size),
        "plan": each([step.plan for step in steps]),
        "seed": options.seed,
        "seconds": round(facts.seconds, 3),
        "peak_memory_mb": round(facts.peak_memory_mb, 1),
        "params": {**each([step.params for step in steps]), **host},
        "guidance": facts.guidance.as_dict() if facts.guidance else None,
        "diagnosis": facts.diagnosis,
        "notes": list(dict.fromkeys(map(str, facts.notes))),
        "version": __version__,
    }
