"""The host that runs plugins on photos, from file to file, for the page, the API and the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from pydantic import BaseModel

from models import hub, memory
from models import runtime as runtimes
from plugins import schema
from plugins.contract import Cost, Guidance, Picture, PluginError, Progress, Size, as_cost, as_guidance
from plugins.host import encode, pictures, record
from plugins.host.automatic import is_automatic, pick
from plugins.host.files import RunFiles
from plugins.host.limits import Limits, Speed
from plugins.host.loading import ModelCache, Ready, task_of
from plugins.host.masks import read_mask
from plugins.host.steps import RunState, plugin_errors, run_guide, run_steps, without_layers
from plugins.options import CURES, DEFAULT_GUIDE, HostOptions
from plugins.registry import Loaded, Registry

READING_MB = 24.0
"""Memory for a megapixel: as decoded, as samples, and as the floats that models take."""
ParamsByStep = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """Files of a run. ``layers``: (PNG, label). ``before``, ``after``: previews as 8-bit sRGB JPEG, or None."""

    path: Path
    record: dict[str, Any]
    layers: list[tuple[Path, str]]
    before: Path | None
    after: Path | None


class Host:
    """Runs plugins and keeps their models loaded. Thread-safe: one run at a time, others wait."""

    def __init__(self, registry: Registry, catalog: hub.Catalog | None = None, limits: Limits | None = None) -> None:
        self.registry = registry
        self.catalog = catalog
        self.limits = limits or Limits()
        self.speed = Speed()
        self._models = ModelCache(catalog)
        self._busy = Lock()

    def restore(
        self,
        image_path: str | Path | None,
        steps: Sequence[str],
        params: ParamsByStep | None = None,
        options: HostOptions | Mapping[str, Any] | None = None,
        *,
        out_dir: str | Path,
        progress: Progress | None = None,
        guidance: Guidance | Mapping[str, Any] | None = None,
        previews: bool = True,
        layers: bool = True,
    ) -> Outcome:
        """Run the steps in order and write the result, its layers and its previews into ``out_dir``.

        File names are the photo's with "-restored" and the like; existing files of these names are replaced.

        Args:
            image_path: the photo.
            steps: ids of plugins. Guides among them guide the restorers after them, unless ``guidance`` is given.
                "auto" alone: those that the default guide's diagnosis calls for; without any, the samples stay.
            params: parameters by step.
            options: the host's options.
            out_dir: a folder, made if missing.
            progress: reports progress, and may cancel the run.
            guidance: what the photo shows, in place of what a guide finds.
            previews: whether to write previews.
            layers: whether to write layers. Without, restorers that have a parameter for it make none: less memory.

        Raises:
            LimpidError: PictureError, FormError, ModelError, PluginError, Cancelled, …; its text is for users.
        """
        progress = progress or Progress()
        wanted, chain = self._asked(steps, params or {}, options)
        if not layers:
            chain = [(loaded, without_layers(given)) for loaded, given in chain]
        progress.update(0.0, "reading the photo")
        source = self._read(image_path)
        encode.check(wanted.format, *source.size)
        facts = record.RunFacts(source.size, notes=list(source.notes))
        mask = None if wanted.mask is None else read_mask(wanted.mask, *source.size, facts.notes)
        with self._turn(progress):
            if is_automatic(steps):
                guided, whole = self.registry.get(DEFAULT_GUIDE), Picture(source.pixels)
                chain, wanted = pick(self._models, guided, chain, wanted, whole, facts, progress, self.catalog)
            state = RunState(self._ready(chain, wanted.model, progress), wanted.seed, progress.part(0.05, 0.9), facts)
            plain = self._forecast(state.steps, Size(*source.size), measured=False)
            self.limits.check_cost(self._forecast(state.steps, Size(*source.size)))
            guide = None
            if guidance is not None:
                state.guidance, state.given = as_guidance(guidance), True
            elif chain:
                guide = self._guide(chain, wanted, facts, progress)
            started = time.perf_counter()
            runtimes.reset_peak(state.device)
            if guide is not None:
                run_guide(*guide, Picture(source.pixels), state, progress.part(0.04, 0.05))
            image, done = run_steps(state, Picture(source.pixels, mask))
            weight = wanted.strength if mask is None else mask * np.float32(wanted.strength)
            progress.update(0.9, "writing the result")
            samples = pictures.compose(source, image, weight)
            del image  # the largest array, before others are made
            files = RunFiles(Path(out_dir), pictures.stem(source.path))
            with files.open():
                result = files.add(pictures.result_name(source.path, wanted.format))
                pictures.write(samples, source, result.parent, wanted.format, wanted.keep_metadata, facts.notes)
                progress.update(0.95, "writing the layers")
                kept = []
                for label, layer in state.layers if layers else ():
                    progress.check()
                    kept.append((pictures.save_layer(layer, files.layer(label)), label))
                if previews:
                    pictures.preview(source, source.samples, files.add(f"{files.stem}-before.jpg"))
                    pictures.preview(source, samples, files.add(f"{files.stem}-after.jpg"))
                facts.seconds = time.perf_counter() - started
                facts.peak_memory_mb = runtimes.peak_memory_mb(state.device)
                progress.update(1.0, "done")
                files.publish()
            self.speed.learn([loaded.manifest.id for loaded, _ in chain], plain.seconds, facts.seconds)
        return Outcome(
            files.at(result),
            record.build(done, facts, wanted),
            [(files.at(path), label) for path, label in kept],
            files.folder / f"{files.stem}-before.jpg" if previews else None,
            files.folder / f"{files.stem}-after.jpg" if previews else None,
        )

    def check(
        self,
        steps: Sequence[str],
        params: ParamsByStep | None = None,
        options: HostOptions | Mapping[str, Any] | None = None,
    ) -> None:
        """Raise LimpidError where ``restore`` would refuse these steps, parameters and options for every photo."""
        wanted, chain = self._asked(steps, params or {}, options)
        task_of(wanted.model, chain, self.catalog)
        if wanted.mask is not None:
            read_mask(wanted.mask, 1, 1, [])

    def _asked(
        self, steps: Sequence[str], params: ParamsByStep, options: HostOptions | Mapping[str, Any] | None
    ) -> tuple[HostOptions, list[tuple[Loaded, BaseModel]]]:
        """Return the options and the steps of a restoration, validated."""
        automatic = is_automatic(steps)
        wanted, chain = HostOptions.of(options), self._chain(list(CURES.values()) if automatic else steps, params)
        if automatic:
            self.registry.get(DEFAULT_GUIDE)  # raises where it cannot be used
        if all(loaded.manifest.kind == "guide" for loaded, _ in chain):
            raise PluginError("A guide restores nothing by itself: name a restorer among the steps, too.")
        return wanted, chain

    def _read(self, image_path: str | Path | None) -> pictures.Source:
        """Read a photo that is within the limits of the host and the memory. Raises LimpidError."""
        width, height = pictures.size_of(image_path)
        self.limits.check_size(width, height)
        megapixels = width * height / 1e6
        memory.require(READING_MB * megapixels, f"to read {megapixels:.0f} megapixels")
        return pictures.read(image_path)

    def guide(
        self,
        image_path: str | Path | None,
        step: str,
        params: Mapping[str, Any] | None = None,
        options: HostOptions | Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
    ) -> tuple[Guidance, dict[str, Any]]:
        """Run one guide; return (guidance, run record). Raises as ``restore`` does."""
        progress = progress or Progress()
        wanted = HostOptions.of(options)
        chain = self._chain([step], {step: params or {}})
        if chain[0][0].manifest.kind != "guide":
            raise PluginError(f"'{step}' is not a guide but a restorer.")
        progress.update(0.0, "reading the photo")
        source = self._read(image_path)
        facts = record.RunFacts(source.size, notes=list(source.notes))
        with self._turn(progress):
            state = RunState(self._ready(chain, wanted.model, progress), wanted.seed, progress.part(0.05, 1.0), facts)
            self.limits.check_cost(self._forecast(state.steps, Size(*source.size)))
            started = time.perf_counter()
            runtimes.reset_peak(state.device)
            _, done = run_steps(state, Picture(source.pixels))
            facts.seconds = time.perf_counter() - started
            facts.peak_memory_mb = runtimes.peak_memory_mb(state.device)
        assert facts.guidance is not None
        return facts.guidance, record.build(done, facts, wanted)

    def cost(
        self,
        image_path: str | Path | None,
        steps: Sequence[str],
        params: ParamsByStep | None = None,
        model: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> Cost:
        """Estimate the cost of these steps on a photo, without loading; models that are needed are loaded.

        ``model``: as in the options. ``progress`` may cancel the wait for another run. Raises LimpidError.
        """
        steps = [DEFAULT_GUIDE, *CURES.values()] if is_automatic(steps) else steps
        chain = self._chain(steps, params or {})
        size = Size(*pictures.size_of(image_path))
        with self._turn(progress or Progress()):
            return self._forecast(self._ready(chain, model, Progress()), size)

    def _forecast(self, steps: Sequence[tuple[Ready, BaseModel]], size: Size, measured: bool = True) -> Cost:
        """Add up what the plugins forecast; with ``measured`` by the speed measured on this machine."""
        total = Cost(0.0, 0.0, 0)
        for ready, given in steps:
            with plugin_errors(ready.loaded):
                one = as_cost(ready.plugin.cost(size, given))
            seconds = one.seconds * (self.speed.of(ready.loaded.manifest.id) if measured else 1.0)
            total = Cost(total.seconds + seconds, max(total.memory_mb, one.memory_mb), total.tiles + one.tiles)
        return total

    def _chain(self, steps: Sequence[str], params: ParamsByStep) -> list[tuple[Loaded, BaseModel]]:
        """Return the plugins of the steps with their validated Params."""
        if not steps:
            raise PluginError("No step was given: name at least one plugin.")
        if len(set(steps)) < len(steps):
            raise PluginError("A step is named twice: name each plugin once.")
        loaded = [self.registry.get(step) for step in steps]
        for name, given in params.items():
            if name not in steps:
                raise schema.FormError(f"There are parameters for '{name}', which is not among the steps.")
            if not isinstance(given, Mapping):
                raise schema.FormError(f"The parameters of '{name}' must be names with values.")
        return [(one, schema.validate(one.Params, params.get(one.manifest.id, {}))) for one in loaded]

    def _guide(
        self, chain: list[tuple[Loaded, BaseModel]], wanted: HostOptions, facts: record.RunFacts, progress: Progress
    ) -> tuple[Ready, BaseModel] | None:
        """Return the guide that ``wanted.guidance`` asks for, loaded, and its Params; None if there is none to run."""
        typed = wanted.guidance_text.strip()
        if wanted.guidance == "off":
            facts.notes += ["The guidance text was ignored: guidance is off."] if typed else []
            return None
        if any(loaded.manifest.kind == "guide" for loaded, _ in chain):
            facts.notes.append("A guide is among the steps: the option guidance was ignored.")
            return None
        if not any(loaded.manifest.guidance for loaded, _ in chain):
            names = " and ".join(loaded.manifest.name for loaded, _ in chain)
            facts.notes.append(f"{names} takes no guidance, so it ran without.")
            return None
        params = {"text": wanted.guidance_text} if wanted.guidance == "edited" else {}
        if params and not typed:
            facts.notes.append("The guidance text is empty: nothing was guided by it.")
            return None
        guides = [g for g in self.registry.guides() if not params or "text" in g.Params.model_fields]
        if not guides:
            reasons = " ".join(f"{plugin_id}: {reason}" for plugin_id, reason in self.registry.disabled)
            raise PluginError(f"There is no guide to ask: turn guidance off, or install one. {reasons}".strip())
        if wanted.guidance == "automatic" and typed:
            facts.notes.append("The guidance text was ignored: guidance is automatic, not edited.")
        guide = next((one for one in guides if one.manifest.id == DEFAULT_GUIDE), guides[0])
        if guide.manifest.id != DEFAULT_GUIDE:
            why = dict(self.registry.disabled).get(DEFAULT_GUIDE, "it is not there")
            facts.notes.append(f"{guide.manifest.name} was asked in place of {DEFAULT_GUIDE}: {why}")
        progress.update(0.03, f"loading {guide.manifest.name}")
        return self._models.get(guide), schema.validate(guide.Params, params)

    def _ready(
        self, chain: list[tuple[Loaded, BaseModel]], model: str | None, progress: Progress
    ) -> list[tuple[Ready, BaseModel]]:
        """Load the models of the steps; ``model`` is for the step of its task. Raises PluginError if there is none."""
        task = task_of(model, chain, self.catalog)
        ready = []
        for loaded, given in chain:
            progress.update(0.02, f"loading {loaded.manifest.name}")
            ready.append((self._models.get(loaded, model if task and loaded.manifest.task == task else None), given))
        return ready

    @contextmanager
    def _turn(self, progress: Progress) -> Iterator[None]:
        """Wait for the end of other runs; the wait can be cancelled."""
        while not self._busy.acquire(timeout=0.2):
            progress.check()
        try:
            yield
        finally:
            self._busy.release()
