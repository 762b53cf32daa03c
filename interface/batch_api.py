"""The endpoint /batch: many photos in one call; the results as files and one zip, with the state of every photo."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from interface import api, jobs
from interface.blocks import problem, sentence
from interface.cache import NoRoomError, require_room
from interface.controls import AnyDropdown, ParamsInput, PhotosInput, control
from interface.finding import next_name
from interface.service import Service
from interface.turns import turns
from models.errors import LimpidError
from plugins.contract import Cancelled
from plugins.host.pictures import stem
from plugins.host.run import Outcome
from plugins.options import DEFAULT_STEP, HostOptions
from plugins.schema import FieldSpec, fields

MOST = 200
"""Photos in one call."""
BATCHES_AT_ONCE: dict[str, Any] = {"concurrency_id": "batch", "concurrency_limit": 8}
"""Batches take turns picture by picture (`turns`); more of them wait in the queue."""
OPTIONS = [name for name in HostOptions.model_fields if name != "mask"]
"""Options of the host; a mask belongs to one photo."""
Results = tuple[list[str], str | None, list[dict[str, Any]]]


@dataclass
class Batch:
    """The photos of a call and what became of them."""

    photos: Sequence[str]
    folder: Path
    states: list[dict[str, Any]]
    taken: set[str] = field(default_factory=set)

    def keep(self, number: int, outcome: Outcome) -> None:
        """Give the result of a photo a name of its own, and write its record beside it."""
        name = next_name(stem(self.photos[number]), self.taken)
        self.taken.add(name.lower())
        target = self.folder / f"{name}-restored{outcome.path.suffix}"
        outcome.path.replace(target)
        target.with_suffix(".json").write_text(json.dumps(outcome.record, indent=2, ensure_ascii=False) + "\n")
        self.states[number] |= {"state": "restored", "file": target.name, "record": outcome.record}

    @property
    def files(self) -> list[str]:
        """The results, in the order of the photos."""
        return [str(self.folder / state["file"]) for state in self.states if "file" in state]

    def pack(self) -> str | None:
        """Write the results and their records into a zip; return it, or None if there are none."""
        if not self.files:
            return None
        target = self.folder / "restored.zip"
        require_room(sum(Path(file).stat().st_size for file in self.files))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:  # pictures are compressed already
            for file in map(Path, self.files):
                packed.write(file, file.name)
                packed.write(file.with_suffix(".json"), f"{file.stem}.json")
        return str(target)


async def restore_all(
    photos: Sequence[str] | None, steps: Any, params: Any, options: Sequence[Any], progress: gr.Progress
) -> Results:
    """Restore every photo; return the results, their zip and a row for each photo. Raises gr.Error.

    What is wrong with the request is an error at once; what is wrong with one photo is said in its row.
    """
    given = api.host_options(OPTIONS, options)
    wanted, values = api.as_steps(steps), api.as_params(params)
    if not photos:
        raise problem("No picture was given: upload at least one.")
    if len(photos) > MOST:
        raise problem(f"There are {len(photos)} photos, and one call takes at most {MOST}: send the others in another.")
    try:
        await asyncio.to_thread(jobs.host().check, wanted, values, given)
    except LimpidError as error:
        raise problem(sentence(error)) from error
    states = [{"number": n, "name": Path(photo).name, "state": "waiting"} for n, photo in enumerate(photos, 1)]
    batch = Batch(photos, await asyncio.to_thread(api.results_folder), states)
    for number, photo in enumerate(photos):
        began = (number, len(photos), Path(photo).name)
        job = jobs.Job(photo, tuple(wanted), values, given, str(batch.folder / str(number)), extras=False)
        try:
            progress(number / len(photos), desc=f"{number + 1} of {len(photos)}: {began[2]}")
            async with turns.turn("batch"):
                await asyncio.to_thread(require_room)
                outcome = await jobs.follow(job, _reporter(progress, *began))
            await asyncio.to_thread(batch.keep, number, outcome)
        except Cancelled as error:
            raise problem("Cancelled.") from error
        except Exception as error:  # one photo's failure does not lose the others
            states[number] |= {"state": "failed", "error": sentence(error)}
    progress(1.0, desc="Packing the results")
    try:
        return batch.files, await asyncio.to_thread(batch.pack), states
    except (NoRoomError, OSError) as error:  # the files themselves are there
        states[-1]["zip"] = sentence(error)
        return batch.files, None, states


def _reporter(progress: gr.Progress, number: int, count: int, name: str) -> Any:
    def report(step: jobs.Step) -> None:
        progress((number + step.fraction) / count, desc=f"{number + 1} of {count}: {name}, {step.message}")

    return report


def add(service: Service) -> None:
    """Add the endpoint to the page that is being built; the page shows nothing of it."""

    async def endpoint(*values: Any) -> Results:
        photos, steps, params, *rest, progress = values
        return await restore_all(photos, steps, params, rest, progress)

    host = [one for one in fields(HostOptions) if one.name in OPTIONS]
    function = api.with_signature(
        endpoint,
        "batch",
        "Restores many photos in one call. One that fails does not stop the others.",
        [*api.step_fields(service.restorers), *host],
        {"steps": list[str] | None, "params": dict[str, Any] | None, "images": list[str]},
        returns="The restored pictures (files), all of them in one zip with their run records, and a row for each "
        "photo (JSON): number, name, state (restored or failed), file, record, error.",
        first=FieldSpec("images", "path", None, help=f"The photos, at most {MOST}. {api.IMAGE_HELP}"),
    )
    with gr.Column(visible=False):
        choices = [(plugin.manifest.name, plugin.manifest.id) for plugin in service.restorers]
        inputs = [
            PhotosInput(label="Photos", file_count="multiple"),
            AnyDropdown(choices, value=[DEFAULT_STEP], multiselect=True, allow_custom_value=True, label="Steps"),
            ParamsInput({}, label="Params"),
            *(control(one, label=one.label) for one in host),
        ]
        outputs = [
            gr.File(label="Restored pictures", file_count="multiple", interactive=False),
            gr.File(label="All of them, as a zip", interactive=False),
            gr.JSON(label="State of each photo"),
        ]
        gr.Button().click(function, inputs, outputs, api_name="batch", **BATCHES_AT_ONCE)
