"""Execution of the steps of one run, in order; each restorer gets the picture of the one before, and guidance."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import BaseModel

from models import tiles
from models.errors import LimpidError
from plugins.contract import Guidance, Picture, PluginError, Progress, RunContext, as_guidance
from plugins.host.loading import Ready
from plugins.host.record import RunFacts, StepRecord
from plugins.host.tiling import run_restorer
from plugins.registry import Loaded

log = logging.getLogger(__name__)


@dataclass
class RunState:
    """State of one run: its steps with their Params, the guidance, and results other than the picture."""

    steps: list[tuple[Ready, BaseModel]]
    seed: int
    progress: Progress
    facts: RunFacts
    guidance: Guidance | None = None
    given: bool = False
    """The guidance was given by the caller: guides do not replace it."""
    layers: list[tuple[str, np.ndarray]] = field(default_factory=list)

    @property
    def device(self) -> str:
        """Device of the first step; "cpu" without one."""
        return self.steps[0][0].runtime.device if self.steps else "cpu"


def run_steps(state: RunState, picture: Picture) -> tuple[np.ndarray, list[StepRecord]]:
    """Run all steps; return the final picture and a record of each step. Raises LimpidError."""
    done = []
    many = sum(ready.loaded.manifest.kind == "restore" for ready, _ in state.steps) > 1
    for index, (ready, params) in enumerate(state.steps):
        manifest, local = ready.loaded.manifest, ready.local
        state.facts.notes.extend(local.notes if local else ())
        step = StepRecord(
            manifest.id,
            local.id if local else None,
            local.revision if local else None,
            ready.runtime,
            params.model_dump(mode="json"),
        )
        progress = state.progress.part(index / len(state.steps), (index + 1) / len(state.steps))
        progress.update(0.0, manifest.name)
        context = RunContext(state.seed, _guidance_for(ready, state), progress, state.facts.notes)
        with plugin_errors(ready.loaded):
            if manifest.kind == "guide":
                _guide(ready, picture, params, context, state)
            else:
                result = run_restorer(ready, picture, params, context)
                step.plan = result.info.get("plan")
                state.facts.notes.extend(str(note) for note in result.info.get("notes", ()))
                for name, layer in result.layers.items():
                    state.layers.append((f"{manifest.name}: {name}" if many else name, layer))
                picture = replace(picture, pixels=result.image)
        done.append(step)
        progress.update(1.0, manifest.name)
    return picture.pixels, done


def run_guide(ready: Ready, params: BaseModel, picture: Picture, state: RunState, progress: Progress) -> None:
    """Run a guide that is not among the steps, and store its guidance in ``state``. Raises LimpidError."""
    state.facts.notes.extend(ready.local.notes if ready.local else ())
    progress.update(0.0, ready.loaded.manifest.name)
    with plugin_errors(ready.loaded):
        _guide(ready, picture, params, RunContext(state.seed, None, progress, state.facts.notes), state)


def _guide(ready: Ready, picture: Picture, params: BaseModel, context: RunContext, state: RunState) -> None:
    name = ready.loaded.manifest.name
    if state.given:
        state.facts.notes.append(f"{name} was not asked: the guidance given was used.")
        return
    state.guidance = as_guidance(ready.plugin.run(picture, params, context))
    state.facts.guidance = state.guidance


def _guidance_for(ready: Ready, state: RunState) -> Guidance | None:
    """Return the part of the guidance that this restorer takes."""
    manifest, guidance = ready.loaded.manifest, state.guidance
    if guidance is None or manifest.kind == "guide":
        return None
    if not manifest.guidance:
        state.facts.notes.append(f"{manifest.name} takes no guidance, so it ran without.")
        return None
    state.facts.guidance = guidance
    takes = manifest.guidance
    return replace(
        guidance,
        caption=guidance.caption if "caption" in takes else "",
        tags=guidance.tags if "tags" in takes else [],
    )


@contextmanager
def plugin_errors(loaded: Loaded) -> Iterator[None]:
    """Turn any exception of a plugin into a PluginError that names the plugin; log the traceback."""
    name = loaded.manifest.name
    try:
        yield
    except PluginError as error:
        raise PluginError(f"{name} does not keep to the plugin contract: {error}") from error
    except LimpidError:
        raise
    except (Exception, SystemExit) as error:  # third-party code may even exit
        log.exception("%s failed", loaded.manifest.id)
        if tiles.is_out_of_memory(error):
            raise PluginError(
                f"{name} ran out of memory on this photo: use a smaller photo, or free memory."
            ) from error
        raise PluginError(f"{name} failed on this photo ({type(error).__name__}: {error}).") from error


def without_layers(params: BaseModel) -> BaseModel:
    """Return the parameters of a restorer, set to make no layers if it has a parameter for that."""
    names = {"keep_layer", "keep_layers"} & set(type(params).model_fields)
    return params.model_copy(update=dict.fromkeys(names, False))
