"""The command line: no command serves the app, `restore` restores files, `models` and `plugins` list them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import LimpidError
from plugins.options import AUTO, CURES, DEFAULT_GUIDE, HostOptions
from plugins.schema import FieldSpec, fields

if TYPE_CHECKING:
    from plugins.registry import Registry

USAGE = """usage: python app.py                       serve the page, the API and MCP
       python app.py restore PHOTO ...      restore photos into a folder (--help tells more)
       python app.py models [--json]        list the models
       python app.py plugins [--json]       list the plugins
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0 success, 1 failure, 2 unknown command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (words[0], words[1:]) if words else ("", [])
    if command in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    try:
        if not words:
            from interface.server import serve

            serve()
            return 0
        if command == "restore":
            return restore(rest)
        if command in ("models", "plugins") and rest in ([], ["--json"]):
            return listing(command, as_json=bool(rest))
    except LimpidError as error:
        print(f"{error}", file=sys.stderr)
        return 1
    print(f"Not understood: {' '.join(words)}\n{USAGE}", file=sys.stderr, end="")
    return 2


def listing(what: str, as_json: bool) -> int:
    """Print the models or the plugins; return the exit status."""
    from models.hub import Catalog, list_models
    from plugins.registry import Registry

    catalog = Catalog.load()
    rows = list_models(catalog) if what == "models" else Registry.discover(catalog=catalog).describe()
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    for row in rows:
        if what == "models":
            state = f"{row['where']}, {row['size_mb']:.1f} MB, {row['licence']}"
        else:
            state = f"disabled: {row['reason']}" if row.get("reason") else f"{row.get('kind')}, {row.get('source')}"
        print(f"{row['id']:<24} {row.get('summary') or row.get('name') or ''}\n{'':<24} {state}")
    return 0


def restore(words: Sequence[str]) -> int:
    """Run `restore`; return the exit status. Raises LimpidError."""
    from interface import batch, interrupt
    from interface.finding import find_photos
    from models.hub import Catalog
    from plugins.host.run import Host
    from plugins.registry import Registry

    interrupt.say("Stopped. Finished photos are kept; the same command does the others.")
    batch.prepare_process()
    catalog = Catalog.load()
    registry = Registry.discover(catalog=catalog)
    parser = restore_parser(registry)
    given = parser.parse_args(words)
    steps = [step.strip() for step in (given.steps or "").split(",") if step.strip()]
    steps = steps or [AUTO]
    possible = [*CURES.values()] if steps == [AUTO] else steps
    for step in [DEFAULT_GUIDE, *possible] if steps == [AUTO] else steps:
        registry.get(step)  # before any photo, since none could be restored
    options = {name: value for name in HostOptions.model_fields if (value := getattr(given, name)) is not None}
    params: dict[str, dict[str, Any]] = {step: {} for step in possible}
    for key, value in vars(given).items():
        plugin_id, dot, name = key.partition(".")
        if dot and value is not None:
            if plugin_id not in params:
                parser.error(f"--{flag(key)} was given, but {plugin_id} is not among the steps ({', '.join(possible)})")
            params[plugin_id][name] = value
    host = Host(registry, catalog)
    host.check(steps, params, options)
    photos = find_photos(given.photos)
    if not photos:
        raise LimpidError(f"No pictures were found in {', '.join(map(batch.printable, given.photos))}.")
    request = batch.Request(tuple(steps), params, options, given.layers)
    return batch.run(host, photos, request, Path(given.out), overwrite=given.overwrite)


def restore_parser(registry: Registry) -> argparse.ArgumentParser:
    """Return the parser of `restore`, with flags for the host's options and the parameters of all plugins."""
    parser = argparse.ArgumentParser(
        prog="python app.py restore",
        description="Restore photos into a folder, each with its run record. "
        "Finished ones are skipped, so an interrupted run can be started again; "
        "`accelerate launch` spreads the files over processes.",
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="files, folders or patterns")
    parser.add_argument(
        "--steps", help=f"restorers to run, in order, with commas; or {AUTO}, the default: those that the photo needs"
    )
    parser.add_argument("--out", default="restored", help="folder for the results (default: %(default)s)")
    parser.add_argument("--layers", action="store_true", help="also keep the layers that were removed, as PNG")
    parser.add_argument(
        "--overwrite", action="store_true", help="do finished photos again, and replace results of other steps"
    )
    host = parser.add_argument_group("for every step")
    for field in fields(HostOptions):
        add_flag(host, field, field.name)
    for plugin in registry.enabled.values():  # guides, too, since they may be among the steps
        own = fields(plugin.Params)
        if own:
            group = parser.add_argument_group(plugin.manifest.name)
            for field in own:
                add_flag(group, field, f"{plugin.manifest.id}.{field.name}")
    return parser


def add_flag(group: Any, field: FieldSpec, key: str) -> None:
    """Add a flag for a field. Bounds are left to the host, whose messages are better."""
    default = "" if field.default is None else f" (default: {field.default})"
    options: dict[str, Any] = {"dest": key, "default": None, "help": (field.help + default).replace("%", "%%")}
    if field.kind == "bool":
        group.add_argument(f"--{flag(key)}", action=argparse.BooleanOptionalAction, **options)
        return
    if field.choices:
        options["choices"], options["type"] = list(field.choices), type(field.choices[0])
    else:
        options["type"] = {"int": int, "float": float}.get(field.kind, str)
    group.add_argument(f"--{flag(key)}", metavar=None if field.choices else field.kind.upper(), **options)


def flag(key: str) -> str:
    """Return the flag of a key, without dashes in front."""
    return key.replace("_", "-")
