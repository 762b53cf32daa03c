"""The automatic choice of steps, by the diagnosis that the default guide makes of a photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from models.hub import Catalog
from plugins.contract import Picture, PluginError, Progress, RunContext, as_guidance
from plugins.host.loading import ModelCache, Ready, task_of
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
    models: ModelCache,
    guide: Loaded,
    chain: list[tuple[Loaded, BaseModel]],
    wanted: HostOptions,
    picture: Picture,
    facts: RunFacts,
    progress: Progress,
    catalog: Catalog | None,
) -> tuple[list[tuple[Loaded, BaseModel]], HostOptions]:
    """Return those of ``chain`` that the diagnosis of the photo calls for, and the options for them.

    The diagnosis is the guide's, and where a restorer can examine the photo for its fault by itself, that restorer's.
    It goes to ``facts``, with the reason of the choice. A model of a step that is not run is left out of the options,
    with a note. Raises LimpidError.
    """
    progress.update(0.01, "looking what is wrong")
    asked, task = models.get(guide), task_of(wanted.model, chain, catalog)
    with plugin_errors(guide):
        context = RunContext(wanted.seed, None, progress.silent(), facts.notes)
        found = as_guidance(asked.plugin.run(picture, guide.Params(), context)).diagnosis
    for loaded, _ in chain:
        if hasattr(loaded.plugin, "examine"):  # no other model is loaded before it is known to be needed
            ready = models.get(loaded, wanted.model if task and loaded.manifest.task == task else None)
            found = {**found, **examined(ready, picture, found, context)}
    steps, why = chosen(found, guide.manifest.name)
    facts.diagnosis = found
    facts.notes += [*(asked.local.notes if asked.local else ()), why]
    kept = [one for one in chain if one[0].manifest.id in steps]
    if task and task not in [loaded.manifest.task for loaded, _ in kept]:
        facts.notes.append(f"The model '{wanted.model}' had nothing to do.")
        wanted = wanted.model_copy(update={"model": None})
    return kept, wanted


def examined(ready: Ready, picture: Picture, found: Mapping[str, Any], context: RunContext) -> dict[str, Any]:
    """Return what a restorer that examines photos says of its fault, over what ``found`` says; {} for nothing."""
    step = ready.loaded.manifest.id
    (fault,) = (fault for fault, cure in CURES.items() if cure == step)
    with plugin_errors(ready.loaded):
        said = ready.plugin.examine(picture, context)  # type: ignore[attr-defined]
    return {fault: {**(found.get(fault) or {}), **said, "by": step}} if said else {}


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
