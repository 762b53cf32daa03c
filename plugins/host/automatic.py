"""The automatic choice of steps, by the diagnosis that the default guide makes of a photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from models.hub import Catalog
from plugins.contract import Picture, PluginError, Progress, RunContext, as_guidance
from plugins.host.loading import Ready, task_of
from plugins.host.record import RunFacts
from plugins.host.steps import plugin_errors
from plugins.options import AUTO, CURES, HostOptions
from plugins.registry import Loaded

SHOWN = {"reflection": "a reflection", "blur": "blur"}


def is_automatic(steps: Sequence[str]) -> bool:
    """Return whether the steps are the one word for the automatic choice. Raises PluginError for it among others."""
    if AUTO in steps and len(steps) > 1:
        raise PluginError(f"'{AUTO}' stands alone: it picks the steps by itself. Name it, or the steps.")
    return list(steps) == [AUTO]


def pick(
    guide: Ready,
    cures: list[tuple[Ready, BaseModel]],
    wanted: HostOptions,
    picture: Picture,
    facts: RunFacts,
    progress: Progress,
    catalog: Catalog | None,
) -> tuple[list[tuple[Loaded, BaseModel]], HostOptions]:
    """Return those of ``cures`` that the diagnosis of the photo calls for, and the options for them.

    The diagnosis is the guide's, and where a restorer can examine the photo for its fault by itself, that restorer's.
    It goes to ``facts``, with the reason of the choice. A model of a step that is not run is left out of the options,
    with a note. Raises LimpidError.
    """
    progress.update(0.01, "looking what is wrong")
    name = guide.loaded.manifest.name
    with plugin_errors(guide.loaded):
        context = RunContext(wanted.seed, None, progress.silent(), facts.notes)
        found = as_guidance(guide.plugin.run(picture, guide.loaded.Params(), context)).diagnosis
    found = {**found, **examined(cures, picture, found, context)}
    steps, why = chosen(found, name)
    facts.diagnosis = found
    facts.notes += [*(guide.local.notes if guide.local else ()), why]
    chain = [(ready.loaded, given) for ready, given in cures]
    kept = [one for one in chain if one[0].manifest.id in steps]
    task = task_of(wanted.model, chain, catalog)
    if task and task not in [loaded.manifest.task for loaded, _ in kept]:
        facts.notes.append(f"The model '{wanted.model}' had nothing to do.")
        wanted = wanted.model_copy(update={"model": None})
    return kept, wanted


def examined(
    cures: list[tuple[Ready, BaseModel]], picture: Picture, found: Mapping[str, Any], context: RunContext
) -> dict[str, Any]:
    """Return the diagnoses of restorers that examine a photo for their fault, over those of ``found``."""
    faults = {step: fault for fault, step in CURES.items()}
    own = {}
    for ready, _ in cures:
        fault = faults[ready.loaded.manifest.id]
        if examine := getattr(ready.plugin, "examine", None):
            with plugin_errors(ready.loaded):
                if said := examine(picture, context):
                    own[fault] = {**(found.get(fault) or {}), **said, "by": ready.loaded.manifest.id}
    return own


def chosen(diagnosis: Mapping[str, Any], guide: str) -> tuple[list[str], str]:
    """Return the steps that a diagnosis calls for, in order, and a sentence that says why.

    Raises PluginError where ``guide``, which was asked, gave no diagnosis.
    """
    if missing := [fault for fault in CURES if fault not in diagnosis]:
        raise PluginError(f"{guide} gave no diagnosis ({', '.join(missing)}), which '{AUTO}' needs: name the steps.")
    found = [fault for fault in CURES if diagnosis[fault]["found"]]
    said = {fault: f"{SHOWN[fault]} (likelihood {diagnosis[fault]['likelihood']:.2f})" for fault in CURES}
    if not found:
        return [], f"Automatic: neither {' nor '.join(said.values())} was found, so the photo was left as it is."
    seen = " and ".join(said[fault] for fault in found)
    rest = "".join(f", not {said[fault]}" for fault in CURES if fault not in found)
    return [CURES[fault] for fault in found], f"Automatic: {seen} was found{rest}."
