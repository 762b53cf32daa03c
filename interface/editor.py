"""The picture editor: one component of HTML, script and style, and the events behind it.

The script (`static/`) asks the server through gradio's queue, by the events made here, which the API does not list.
"""

from __future__ import annotations

import asyncio
import time
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr

from interface import api
from interface.blocks import problem, sentence
from interface.cache import LIFETIME_HOURS, cache_folder, new_folder, require_room
from interface.controls import QUIET_EVENT, PhotoInput
from interface.endpoints import ONE_AT_A_TIME
from interface.finding import next_name
from interface.outcome import page_outcome
from interface.pace import Pace, Watch
from interface.seen import NotServedError, in_worker, served
from interface.service import Service
from interface.settings import MAX_UPLOAD_BYTES
from interface.static_files import STATIC, asset_path
from models.errors import LimpidError
from plugins.host import pictures
from plugins.host.again import write_again
from plugins.options import AUTO, CURES, DEFAULT_GUIDE, DEFAULT_STEP, HostOptions
from plugins.registry import Loaded

MARKUP = (STATIC / "editor.html").read_text(encoding="utf-8")
START = """/* events of this component: "restore" "encode" "zip" "models" */
const base = location.origin + location.pathname.replace(/[^/]*$/, (end) => end && !end.includes('.') ? end + '/' : '');
import(base + props.main).then((main) => main.start({element, spec: props.spec, base, trigger}));
"""
PROGRESS = gr.Progress()  # gradio looks for such a default
ADDRESSES = {"dereflection": "reflections", "deblur": "blur"}
"""Names of the built-in restorers in the page's address, in the order in which Both runs them."""
WRITING: dict[str, Any] = {"concurrency_id": "writing", "concurrency_limit": 1}
"""Arguments of events that write files and use no model."""


def editor(service: Service, places: list[tuple[str, str]], pace: Pace) -> gr.HTML:
    """Make the editor with its events; return the component. ``places``: (id, name) of the pages beside the editor."""
    shown = gr.HTML(
        html_template=MARKUP,
        js_on_load=START,
        apply_default_css=False,
        elem_id="editor",
        main=asset_path("main.js"),
        spec=specification(service, places),
    )
    with gr.Column(visible=False):
        photo, mask = (PhotoInput(label=label) for label in ("Photo", "Mask"))
        ask, answer = gr.JSON(label="Request"), gr.JSON(label="Answer")
    restore = restorer(pace)
    shown.restore(restore, [photo, mask, ask], answer, api_name="editor_restore", **QUIET_EVENT, **ONE_AT_A_TIME)
    shown.encode(encode, [photo, ask], answer, api_name="editor_encode", **QUIET_EVENT, **WRITING)
    shown.zip(pack, ask, answer, api_name="editor_zip", **QUIET_EVENT, **WRITING)
    return shown


def specification(service: Service, places: list[tuple[str, str]]) -> dict[str, Any]:
    """Return what the script is told of plugins, options and limits, as JSON."""
    return {
        "auto": AUTO,
        "modes": modes(service),
        "restorers": [restorer_spec(service, plugin) for plugin in service.restorers],
        "guides": [plugin_spec(plugin) for plugin in service.guides],
        "host": [field.as_dict() for field in api.host_fields()],
        "broken": {name: service.reason(name) for name in service.broken},
        "default_step": DEFAULT_STEP,
        "places": [{"id": place, "name": name} for place, name in places],
        "hours": LIFETIME_HOURS,
        "max_bytes": MAX_UPLOAD_BYTES,
    }


def modes(service: Service) -> list[dict[str, Any]]:
    """Return the choices of the bar: Auto, each restorer, and the two built in together.

    ``id`` is the place in the address. Auto is offered where all that it needs can be used. A restorer that is the
    default and cannot be used is listed, too.
    """
    ids = [plugin.manifest.id for plugin in service.restorers]
    guides = [plugin.manifest.id for plugin in service.guides]
    automatic = DEFAULT_GUIDE in guides and set(CURES.values()) <= set(ids)
    found: list[dict[str, Any]] = [{"id": "auto", "steps": AUTO, "name": "Auto"}] if automatic else []
    if DEFAULT_STEP in service.broken:
        found.append({"id": ADDRESSES[DEFAULT_STEP], "steps": [DEFAULT_STEP], "name": DEFAULT_STEP.capitalize()})
    names = {plugin.manifest.id: plugin.manifest.name for plugin in service.restorers}
    found += [{"id": ADDRESSES.get(one, one), "steps": [one], "name": names[one]} for one in ids]
    both = [one for one in ADDRESSES if one in ids]
    if len(both) == len(ADDRESSES):
        at = 1 + max(index for index, mode in enumerate(found) if mode["id"] in ADDRESSES.values())
        found.insert(at, {"id": "both", "steps": both, "name": "Both"})
    return found


def plugin_spec(plugin: Loaded) -> dict[str, Any]:
    """Return what the script is told of a plugin."""
    return {
        "id": plugin.manifest.id,
        "name": plugin.manifest.name,
        "summary": plugin.manifest.summary,
        "params": [field.as_dict() for field in plugin.fields],
        "vocabulary": list(getattr(plugin.plugin, "vocabulary", tuple)()),
    }


def restorer_spec(service: Service, plugin: Loaded) -> dict[str, Any]:
    """Return what the script is told of a restorer."""
    models = [{"name": name, "id": model} for name, model in service.model_ids(plugin)]
    return {**plugin_spec(plugin), "models": models, "guided": bool(service.guides_of([plugin]))}


def restorer(pace: Pace) -> Any:
    """Return the event that restores a photo for the editor."""

    async def restore(
        photo: str | None,
        mask: str | None,
        ask: dict[str, Any] | None,
        progress: gr.Progress = PROGRESS,
    ) -> dict[str, Any]:
        asked = ask if isinstance(ask, dict) else {}
        steps = api.as_steps(asked.get("steps"))
        given = asked.get("options")
        options = {
            **dict.fromkeys(HostOptions.model_fields),
            **(given if isinstance(given, dict) else {}),
            "mask": mask,
        }
        if set(options) != set(HostOptions.model_fields):
            raise problem("The options of this request are not known: open the page anew.")
        watch = Watch(progress, time.monotonic)
        restored = await api.restore_photo(photo, steps, api.as_params(asked.get("params")), [*options.values()], watch)
        told = await asyncio.to_thread(page_outcome, restored)
        width, height = restored[1]["size"]
        pace.learn(kind_of(asked.get("steps")), width * height / 1e6, watch.seconds())
        return told

    return restore


def kind_of(steps: Any) -> str:
    """Return the kind of a run by which its time is estimated."""
    return steps if isinstance(steps, str) else ",".join(map(str, steps or [DEFAULT_STEP]))


async def encode(photo: str | None, ask: dict[str, Any] | None) -> dict[str, Any]:
    """Write a result in another format or strength; return its file."""
    asked = ask if isinstance(ask, dict) else {}
    try:
        options = HostOptions.of({name: asked.get(name) for name in ("strength", "format", "keep_metadata")})
        restored = result_file(asked.get("file"))
        require_room()
        folder = new_folder("results")
        values = (photo, str(restored), str(folder), options.strength, options.format, options.keep_metadata)
        path, notes = await asyncio.to_thread(lambda: in_worker(write_again, *values))
    except (LimpidError, OSError) as error:
        raise problem(sentence(error)) from error
    return {"file": str(path), "name": path.name, "bytes": path.stat().st_size, "notes": notes}


async def pack(ask: dict[str, Any] | None) -> dict[str, Any]:
    """Put results into one zip; return its file."""
    try:
        files = [result_file(one) for one in (ask or {}).get("files") or []]
        if not files:
            raise NotServedError("There is no result to pack yet.")
        path = await asyncio.to_thread(zipped, files)
    except (LimpidError, OSError) as error:
        raise problem(sentence(error)) from error
    return {"file": str(path), "name": path.name, "bytes": path.stat().st_size}


def zipped(files: list[Path]) -> Path:
    """Write files into a zip, uncompressed as pictures are by themselves; equal names are numbered."""
    require_room(sum(file.stat().st_size for file in files))
    path = new_folder("results") / "limpid-restored.zip"
    taken: set[str] = set()
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        for file in files:
            name = next_name(file.stem, taken)
            taken.add(name.lower())
            archive.write(file, name + file.suffix)
    return path


def result_file(path: Any) -> Path:
    """Return the file of a result. Raises NotServedError for any other file."""
    file = served(str(path))
    if not file.is_relative_to((cache_folder() / "results").resolve()):
        raise NotServedError("This is not a result of this server: restore the photo again.")
    return file


def about(photo: str, steps: str, pace: Pace) -> dict[str, Any]:
    """Return a photo's upright size, whether browsers show it, and the seconds that restoring it may take."""
    file = served(photo)
    width, height = pictures.size_of(file)
    seconds = pace.estimate(steps or DEFAULT_STEP, width * height / 1e6)
    return {"width": width, "height": height, "shown": pictures.browsers_show(file), "seconds": seconds}
