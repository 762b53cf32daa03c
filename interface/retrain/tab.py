"""The tab for retraining: photos in, the simulator's sheet, training with curves and samples, verdict, name, upload."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from interface import cache, snippets
from interface.blocks import problem, sentence
from interface.controls import QUIET_EVENT
from interface.retrain import access
from interface.retrain.curves import curves_html
from interface.retrain.intake import take_in
from interface.retrain.naming import name_model
from interface.retrain.project import Project, RetrainError
from interface.retrain.samples import CAPTION, make_samples, samples_file
from interface.retrain.stages import STAGES
from interface.service import Service
from interface.settings import settings
from interface.turns import turns
from models.errors import LimpidError

REFRESH_S = 2.0
MOST_STEPS = 1_000_000
WORK = {
    "training.experiments.simulator_sheet": "Making the sheet of simulated photos",
    "training.train": "Training",
    "training.experiments.retrained": "Measuring on photos that were held out",
    "training.publish": "Writing the card and uploading",
}
INTRO = (
    "Teach a model your own photos: sharp ones, without reflections or blur, which the simulators then spoil. Training "
    "works in a process of its own and goes on when this page is closed."
)


def retrain_tab(service: Service) -> None:
    """Fill the tab, in place."""
    gr.HTML(f'<p class="lead">{escape(INTRO)}</p>', padding=False)
    if why := access.refusal(settings()) or access.missing():
        gr.HTML(snippets.problem_html(why), padding=False)
        return
    if os.environ.get("OAUTH_CLIENT_ID") and not settings().accounts:
        gr.LoginButton()
    with gr.Row():
        name = gr.Textbox("my-model", label="Name of the new model", elem_id="retrain-name")
        choices = [(stage.name, key) for key, stage in STAGES.items()]
        stage = gr.Dropdown(choices, value="dereflection", label="What to train", elem_id="retrain-stage")
    with gr.Row():
        kinds = "Photos, or zips of them; in a zip, folders input and target hold real pairs"
        files = gr.File(file_count="multiple", label=kinds, height=140, elem_id="retrain-files")
        folder = gr.File(file_count="directory", label="Or a folder of photos", height=140)
    take = gr.Button("Take these photos", variant="primary", elem_id="retrain-take")
    said = gr.HTML("", padding=False, elem_id="retrain-said")
    sheet = gr.Image(label="What the simulator makes of your photos", interactive=False, type="filepath", visible=False)
    with gr.Row():
        steps = gr.Number(STAGES["dereflection"].steps, precision=0, label="Steps", elem_id="retrain-steps")
        train = gr.Button("Train, or go on", variant="primary", elem_id="retrain-train")
        stop = gr.Button("Stop", elem_id="retrain-stop")
    state = gr.HTML("", padding=False, elem_id="retrain-state")
    curves = gr.HTML("", padding=False, elem_id="retrain-curves")
    samples = gr.Image(label=CAPTION, interactive=False, type="filepath", visible=False)
    with gr.Row():
        default = gr.Checkbox(False, label="Use it unless another is asked for")
        naming = gr.Button("Add it to the list of models", elem_id="retrain-add")
    with gr.Accordion("Publish on the Hugging Face Hub", open=False), gr.Row():
        repository = gr.Textbox("", label="Repository, as you/name")
        token = gr.Textbox("", label="Token that may write (HF_TOKEN if empty)", type="password")
        publish = gr.Button("Publish")
    with gr.Accordion("Commands, and what they print", open=False):
        log = gr.Textbox("", lines=12, max_lines=12, show_label=False, interactive=False)
    shown = [state, sheet, curves, samples, log]

    stage.change(lambda key: STAGES[key].steps, stage, steps, **QUIET_EVENT)
    handlers = Handlers(service)
    take.click(for_the_owner(handlers.take), [name, stage, files, folder], said, api_visibility="private")
    train.click(for_the_owner(handlers.train), [name, steps], said, **QUIET_EVENT)
    stop.click(for_the_owner(handlers.stop), name, said, **QUIET_EVENT)
    naming.click(for_the_owner(handlers.name), [name, default], said, **QUIET_EVENT)
    publish.click(for_the_owner(handlers.publish), [name, repository, token], said, **QUIET_EVENT)
    gr.Timer(REFRESH_S).tick(handlers.look, [name, steps], shown, queue=False, **QUIET_EVENT)


def for_the_owner(handler: Callable[..., str]) -> Callable[..., Any]:
    """Return the event of a handler: it refuses everybody else, and says errors, in sentences."""

    async def event(*values: Any) -> str:
        *given, request = values
        if why := access.not_the_owner(request, settings()):
            raise problem(why)
        try:
            return f"<p>{escape(await asyncio.to_thread(handler, *given))}</p>"
        except (LimpidError, OSError) as error:
            raise problem(sentence(error)) from error

    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [inspect.Parameter(name, plain) for name in inspect.signature(handler).parameters]
    request = inspect.Parameter("request", plain, annotation=gr.Request)  # gradio gives it by this annotation
    event.__signature__ = inspect.Signature([*own, request])  # type: ignore[attr-defined]
    event.__annotations__ = {"request": gr.Request}
    return event


class Handlers:
    """What the buttons do; each returns what is said."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def take(self, name: str, stage: str, files: Any, folder: Any) -> str:
        """Take in photos, and begin."""
        given = [*(files or []), *(folder or [])]
        if not given:
            raise RetrainError("There are no photos yet: choose some, or a zip of them.")
        project = Project(name)
        project.check_free()
        if stage not in STAGES:
            raise RetrainError("Choose what to train.")
        used = self.service.catalog.default(STAGES[stage].task)
        if used is None:
            raise RetrainError(f"There is no model for {STAGES[stage].task} to start from and compare with.")
        project.folder.mkdir(parents=True, exist_ok=True)
        taken = take_in(given, project.folder)
        project.begin(stage, used.id)
        return f"Taken in: {taken} A sheet of simulated photos and a measured step follow."

    def train(self, name: str, steps: Any) -> str:
        """Train, or go on."""
        if not isinstance(steps, int | float) or not 1 <= steps <= MOST_STEPS:
            raise RetrainError(f"The steps must be a whole number from 1 to {MOST_STEPS}.")
        Project(name).train(int(steps))
        return "Training."

    def stop(self, name: str) -> str:
        """Stop, so that it can go on."""
        Project(name).stop()
        return "Stopping at the next step. Nothing is lost: the same button goes on from there."

    def name(self, name: str, default: bool) -> str:
        """Put the model into the catalog."""
        return name_model(Project(name), self.service.catalog, bool(default))

    def publish(self, name: str, repository: str, token: str) -> str:
        """Upload the model."""
        project = Project(name)
        if name not in [entry.id for entry in self.service.catalog.entries()]:
            raise RetrainError("Add it to the list of models first: its card is written from that entry.")
        project.publish(repository.strip(), token.strip())
        return f"Uploading to {repository.strip()}."

    async def look(self, name: str, steps: Any, request: gr.Request) -> Sequence[Any]:
        """Return what is shown: state, sheet, curves, samples, log."""
        try:
            project = Project(name)
        except RetrainError:
            return [gr.skip()] * 5
        if access.not_the_owner(request, settings()) or not (project.folder / "state.json").is_file():
            return [gr.skip()] * 5
        await asyncio.to_thread(project.advance)
        drawn = samples_file(project)
        if drawn and not drawn.is_file():
            async with turns.turn("batch"):  # beside the photos of visitors
                await asyncio.to_thread(make_samples, project, drawn)
        return await asyncio.to_thread(view, project, steps, drawn)


def view(project: Project, steps: Any, drawn: Path | None) -> list[Any]:
    """Return the values of what is shown of a project."""
    sheet = project.folder / "sheet.png"
    pictures = [
        gr.Image(value=served(project, file), visible=True) if file and file.is_file() else gr.skip()
        for file in (sheet, drawn)
    ]
    return [
        state_html(project, steps),
        pictures[0],
        curves_html(project.curve("loss.csv"), project.curve("validation.csv")),
        pictures[1],
        project.log,
    ]


def state_html(project: Project, steps: Any) -> str:
    """Say what is going on, how long it takes, and the verdict."""
    state, lines = project.state, []
    if state["failed"]:
        return snippets.problem_html(state["failed"])
    losses = project.curve("loss.csv")
    done, total = (int(losses[-1]["step"]) if losses else 0), state.get("steps")
    if state["now"]:
        lines.append(WORK.get(state["now"]["command"][0], "Working") + " …")
        if total and losses and state["now"]["command"][0] == "training.train":
            left = losses[-1]["seconds"] / done * (total - done) / 60
            lines.append(f"Step {done} of {total}, about {minutes_text(left)} left.")
    elif total and done < total:
        lines.append(f"Stopped at step {done} of {total}: “Train, or go on” goes on from there.")
    if not losses and isinstance(steps, int | float) and (minutes := project.minutes(int(steps))) is not None:
        lines.append(f"{int(steps)} steps take about {minutes_text(minutes)} here, validation besides (measured).")
    if not state["now"] and (verdict := project.verdict):
        lines.append(f"{verdict['text']} (Mean PSNR on {verdict['pairs']} held-out pictures.)")
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def minutes_text(minutes: float) -> str:
    """Format a duration."""
    if minutes < 1:
        return "a minute"
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def served(project: Project, file: Path) -> str:
    """Return a copy of a picture of the project in the folder that gradio serves from."""
    folder = cache.cache_folder() / "retrain" / project.name
    target = folder / f"{file.stem}-{file.stat().st_mtime_ns}{file.suffix}"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return str(target)
