"""The endpoints: one function per restorer, made from its Params and the host's options.

Each has a real signature and docstring: gradio makes the API page and the MCP tools from them, and the page's
buttons call the same functions.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import gradio as gr

from interface import jobs
from interface.cache import new_folder
from models.errors import LimpidError
from plugins.contract import Cancelled
from plugins.host.run import Outcome
from plugins.options import HostOptions
from plugins.registry import Loaded
from plugins.schema import FieldSpec, fields

log = logging.getLogger(__name__)
DEFAULT_MODEL = "default"  # what the page sends for "no model asked for"; None means the same
TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str, "path": str}
Restored = tuple[str, dict[str, Any], list[tuple[str, str]], tuple[str, str] | None]
"""Restored file, run record, (file, label) of each layer; and, for the page alone, its previews before and after."""
IMAGE_HELP = "The photo: JPEG, PNG, WebP, TIFF, HEIC, AVIF or GIF, in any orientation and colour profile."


def restorer(plugin: Loaded) -> Callable[..., Any]:
    """The endpoint of one restorer: image, its Params in order, then the host's options."""
    own = fields(plugin.Params)
    names = [field.name for field in own]

    async def endpoint(*values: Any) -> Restored:
        image, *rest, progress = values
        params = dict(zip(names, rest[: len(names)], strict=True))
        return await restore_photo(
            image, [plugin.manifest.id], {plugin.manifest.id: params}, rest[len(names) :], progress
        )

    return with_signature(endpoint, plugin.manifest.id, plugin.manifest.summary, [*own, *host_fields()])


def chain(plugins: Sequence[Loaded]) -> Callable[..., Any]:
    """The /restore endpoint: several restorers on one photo, in the order given."""
    listed = "; ".join(f"{plugin.manifest.id}: {plugin.manifest.summary}" for plugin in plugins)

    async def endpoint(*values: Any) -> Restored:
        image, steps, params, *rest, progress = values
        return await restore_photo(image, as_steps(steps), as_params(params), rest, progress)

    first = [
        FieldSpec("steps", "str", None, help=f"Ids of the restorers to run, in order. {listed}"),
        FieldSpec("params", "str", None, help='Parameters by restorer, as JSON: {"id": {"name": value}}.'),
    ]
    return with_signature(
        endpoint,
        "restore",
        "Runs one or several restorers on a photo, in the order given.",
        [*first, *host_fields()],
        {"steps": list[str] | None, "params": dict[str, Any] | None},
    )


def guide(plugin: Loaded) -> Callable[..., Any]:
    """The endpoint of a guide: what the photo shows, as JSON."""
    own = fields(plugin.Params)
    names = [field.name for field in own]

    async def endpoint(*values: Any) -> dict[str, Any]:
        image, *rest, progress = values
        step = plugin.manifest.id
        job = jobs.Job(image, (step,), {step: dict(zip(names, rest, strict=True))}, guide=True)
        said = await answer(job, progress)
        return {**said["guidance"], "notes": said["record"]["notes"]}

    returns = "JSON: caption, tags (name and score from 0 to 1), model (who said so), notes."
    return with_signature(endpoint, plugin.manifest.id, plugin.manifest.summary, own, returns=returns)


def host_fields() -> list[FieldSpec]:
    """The host's options as fields, in the order of the API."""
    return fields(HostOptions)


async def restore_photo(
    image: str | None,
    steps: Sequence[str],
    params: dict[str, dict[str, Any]],
    options: Sequence[Any],
    progress: gr.Progress,
) -> Restored:
    """Run the restorers on a photo; return what every restoring endpoint returns."""
    given = dict(zip(HostOptions.model_fields, options, strict=True))
    given["model"] = None if given["model"] in (None, "", DEFAULT_MODEL) else given["model"]
    job = jobs.Job(image, tuple(steps), params, given, str(new_folder("results")))
    outcome: Outcome = await answer(job, progress)
    layers = [(str(path), label) for path, label in outcome.layers]
    previews = (str(outcome.before), str(outcome.after)) if outcome.before and outcome.after else None
    return str(outcome.path), outcome.record, layers, previews


async def answer(job: jobs.Job, progress: gr.Progress) -> Any:
    """The job's result; what goes wrong becomes a gr.Error whose sentence reaches the page and the client."""
    progress(0, desc="Waiting for the model")
    try:
        return await jobs.follow(job, lambda step: progress(step.fraction, desc=sentence_case(step.message)))
    except Cancelled as error:
        raise gr.Error("Cancelled.", print_exception=False) from error
    except LimpidError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except Exception as error:
        log.exception("A job failed")
        raise gr.Error(
            f"Something went wrong inside Limpid ({type(error).__name__}); the photo was not changed. "
            "The server's log says more.",
            print_exception=False,
        ) from error


def sentence_case(message: str) -> str:
    return message[:1].upper() + message[1:] if message else "Working"


def with_signature(
    function: Callable[..., Any],
    name: str,
    summary: str,
    args: Sequence[FieldSpec],
    types: Mapping[str, Any] | None = None,
    returns: str = "The restored picture (file), the run record (JSON), the removed layers (gallery).",
) -> Callable[..., Any]:
    """Gives `function` the name, signature and docstring that its fields say."""
    kinds = dict(types or {})
    parameters = [inspect.Parameter("image", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)]
    lines = [f"image: {IMAGE_HELP}"]
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
    """The bounds of a number, in words, for texts that have no other place for them."""
    if field.minimum is None and field.maximum is None:
        return ""
    low = "" if field.minimum is None else f" from {field.minimum:g}"
    high = "" if field.maximum is None else f" to {field.maximum:g}"
    return f" (a number{low}{high})"


def as_steps(steps: Any) -> list[str]:
    """Step ids from a list, or from text such as "dereflection,deblur"."""
    if isinstance(steps, str):
        steps = steps.split(",")
    if not isinstance(steps, list | tuple) or not all(isinstance(step, str) for step in steps):
        raise gr.Error('The steps must be a list of restorer ids, such as ["dereflection"].', print_exception=False)
    return [step.strip() for step in steps if step.strip()]


def as_params(params: Any) -> dict[str, dict[str, Any]]:
    """Parameters by restorer, from a dict or its JSON text."""
    if isinstance(params, str):
        try:
            params = json.loads(params or "{}")
        except json.JSONDecodeError as error:
            raise gr.Error(f"The params are not JSON ({error}).", print_exception=False) from error
    params = {} if params is None else params
    if not isinstance(params, dict) or not all(isinstance(value, dict) for value in params.values()):
        raise gr.Error('The params must be JSON by restorer, such as {"dereflection": {}}.', print_exception=False)
    return params
