"""API endpoints: one function per plugin, generated from its Params and the host's options.

Each gets a signature and a docstring, from which gradio makes the API page and the MCP tools. The editor restores by
`restore_photo`, too.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from interface import jobs
from interface.blocks import NO_ROOM, problem, sentence
from interface.cache import NoRoomError, new_folder, require_room
from interface.turns import turns
from models.errors import is_full_disk
from plugins.contract import Cancelled
from plugins.host.run import Outcome
from plugins.options import AUTO, DEFAULT_STEP, HostOptions
from plugins.registry import Loaded
from plugins.schema import FieldSpec, fields

DEFAULT_MODEL = "default"
"""What the page sends for the default model; None means the same."""
TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str, "path": str}
Returned = tuple[str, dict[str, Any], list[tuple[str, str]]]
"""What an endpoint returns: restored file, run record, (file, label) of each layer."""
Restored = tuple[str, dict[str, Any], list[tuple[str, str]], tuple[str, str] | None]
"""What an endpoint returns, and previews (before, after), which the editor shows."""
IMAGE_HELP = "JPEG, PNG, WebP, TIFF, HEIC, AVIF, GIF or a raw file, in any orientation and colour profile."
PHOTO = FieldSpec("image", "path", None, help=f"The photo: {IMAGE_HELP}")


def restorer(plugin: Loaded) -> Callable[..., Any]:
    """Return the endpoint of a restorer, whose arguments are image, its Params and the host's options."""
    own = fields(plugin.Params)
    names = [field.name for field in own]

    async def endpoint(*values: Any) -> Returned:
        image, *rest, progress = values
        params = dict(zip(names, rest[: len(names)], strict=True))
        options = rest[len(names) :]
        return (await restore_photo(image, [plugin.manifest.id], {plugin.manifest.id: params}, options, progress))[:3]

    return with_signature(endpoint, plugin.manifest.id, plugin.manifest.summary, [*own, *host_fields()])


def chain(plugins: Sequence[Loaded]) -> Callable[..., Any]:
    """Return the /restore endpoint: several restorers on one photo, in the order given."""

    async def endpoint(*values: Any) -> Returned:
        image, steps, params, *rest, progress = values
        return (await restore_photo(image, as_steps(steps), as_params(params), rest, progress))[:3]

    return with_signature(
        endpoint,
        "restore",
        "Runs one or several restorers on a photo, in the order given, or those that it needs.",
        [*step_fields(plugins), *host_fields()],
        {"steps": list[str] | None, "params": dict[str, Any] | None},
    )


def step_fields(plugins: Sequence[Loaded]) -> list[FieldSpec]:
    """Return the arguments ``steps`` and ``params``, by which several of these restorers are run."""
    listed = "; ".join(f"{plugin.manifest.id}: {plugin.manifest.summary}" for plugin in plugins)
    return [
        FieldSpec(
            "steps",
            "str",
            [DEFAULT_STEP],
            help=f'Ids of the restorers to run, in order, or "{AUTO}" alone: those that the photo needs. {listed}',
        ),
        FieldSpec("params", "str", None, help='Parameters by restorer, as JSON: {"id": {"name": value}}.'),
    ]


def unusable(plugin_id: str, reason: str) -> Callable[..., Any]:
    """Return the endpoint of a restorer that cannot be used: it raises an error that says why."""

    async def endpoint(*_: Any) -> None:
        raise problem(reason)

    summary = f"Cannot be used at present. {reason}"
    return with_signature(endpoint, plugin_id, summary, host_fields(), returns="Nothing but an error.")


def guide(plugin: Loaded) -> Callable[..., Any]:
    """Return the endpoint of a guide: what the photo shows, as JSON."""
    own = fields(plugin.Params)
    names = [field.name for field in own]

    async def endpoint(*values: Any) -> dict[str, Any]:
        image, *rest, progress = values
        step = plugin.manifest.id
        job = jobs.Job(image, (step,), {step: dict(zip(names, rest, strict=True))}, guide=True)
        result = await run_job(job, progress)
        return {**result["guidance"], "notes": result["record"]["notes"]}

    returns = "JSON: caption, tags (name and score from 0 to 1), model (who said so), diagnosis, notes."
    return with_signature(endpoint, plugin.manifest.id, plugin.manifest.summary, own, returns=returns)


def host_fields() -> list[FieldSpec]:
    """Return the host's options as fields, in the order of the API."""
    return fields(HostOptions)


async def restore_photo(
    image: str | None,
    steps: Sequence[str],
    params: dict[str, dict[str, Any]],
    options: Sequence[Any],
    progress: Callable[..., Any],
) -> Restored:
    """Run the restorers on a photo; return what every restoring endpoint returns, and previews."""
    given = host_options([*HostOptions.model_fields], options)
    folder = await asyncio.to_thread(results_folder)
    job = jobs.Job(image, tuple(steps), params, given, str(folder))
    outcome: Outcome = await run_job(job, progress)
    layers = [(str(path), label) for path, label in outcome.layers]
    previews = (str(outcome.before), str(outcome.after)) if outcome.before and outcome.after else None
    return str(outcome.path), outcome.record, layers, previews


def host_options(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return the host's options of these names, with None for the model that the page calls the default."""
    given = dict(zip(names, values, strict=True))
    return {**given, "model": None if given["model"] in (None, "", DEFAULT_MODEL) else given["model"]}


def results_folder() -> Path:
    """Make the folder for a run's files. Raises gr.Error."""
    try:
        require_room()
        return new_folder("results")
    except NoRoomError as error:
        raise problem(str(error)) from error
    except OSError as error:
        if is_full_disk(error):
            raise problem(NO_ROOM) from error
        raise problem(
            f"The server cannot make the folder for results ({error.strerror or error}): tell who runs it."
        ) from error


async def run_job(job: jobs.Job, progress: Callable[..., Any]) -> Any:
    """Return the result of a job; errors become gr.Error, whose text is shown by the page and to API clients."""
    progress(0, desc="Waiting for the model")
    try:
        async with turns.turn("single"):
            return await jobs.follow(job, lambda step: progress(step.fraction, desc=sentence_case(step.message)))
    except Cancelled as error:
        raise problem("Cancelled.") from error
    except Exception as error:
        raise problem(sentence(error)) from error


def sentence_case(message: str) -> str:
    """Capitalise a message; "Working" for an empty one."""
    return message[:1].upper() + message[1:] if message else "Working"


def with_signature(
    function: Callable[..., Any],
    name: str,
    summary: str,
    args: Sequence[FieldSpec],
    types: Mapping[str, Any] | None = None,
    returns: str = "The restored picture (file), the run record (JSON), the removed layers (gallery).",
    first: FieldSpec = PHOTO,
) -> Callable[..., Any]:
    """Set name, signature and docstring of `function` as its fields say, and return it.

    Args:
        function: called with the picture, the values of `args` in order, and a gr.Progress.
        name: name of the endpoint.
        summary: first line of the docstring.
        args: the arguments after the image.
        types: type hints by argument, for those of another type than their field has.
        returns: "Returns" section of the docstring.
        first: the first argument, which must be given.
    """
    kinds = dict(types or {})
    hint = kinds.get(first.name, str)
    parameters = [inspect.Parameter(first.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=hint)]
    lines = [f"{first.name}: {first.help}"]
    for field in args:
        hint = kinds.get(field.name) or (Literal[field.choices] if field.choices else TYPES[field.kind])
        parameters.append(
            inspect.Parameter(
                field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default, annotation=hint
            )
        )
        lines.append(f"{field.name}: {' '.join(field.help.split())}{limits(field)}")
    parameters.append(inspect.Parameter("progress", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=gr.Progress()))
    function.__name__ = function.__qualname__ = name
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters[:-1]}
    function.__doc__ = f"{summary}\n\nArgs:\n    " + "\n    ".join(lines) + f"\n\nReturns:\n    {returns}\n"
    return function


def limits(field: FieldSpec) -> str:
    """Return the bounds of a number in words, for docstrings; empty if there are none."""
    if field.minimum is None and field.maximum is None:
        return ""
    low = "" if field.minimum is None else f" from {field.minimum:.12g}"
    high = "" if field.maximum is None else f" to {field.maximum:.12g}"
    return f" (a number{low}{high})"


def as_steps(steps: Any) -> list[str]:
    """Return step ids from a list, or from text such as "dereflection,deblur"; None is the default. Raises gr.Error."""
    if steps is None:
        return [DEFAULT_STEP]
    if isinstance(steps, str):
        steps = steps.split(",")
    if not isinstance(steps, list | tuple) or not all(isinstance(step, str) for step in steps):
        raise problem('The steps must be a list of restorer ids, such as ["dereflection"].')
    return [step.strip() for step in steps if step.strip()]


def as_params(params: Any) -> dict[str, dict[str, Any]]:
    """Return parameters by restorer from a dict or its JSON text. Raises gr.Error."""
    if isinstance(params, str):
        try:
            params = json.loads(params or "{}")
        except json.JSONDecodeError as error:
            raise problem(f"The params are not JSON ({error}).") from error
    params = {} if params is None else params
    if not isinstance(params, dict) or not all(isinstance(value, dict) for value in params.values()):
        raise problem('The params must be JSON by restorer, such as {"dereflection": {}}.')
    return params
