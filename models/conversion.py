"""Conversion of published parts to a model in Limpid's layout."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.integrity import UNSAFE_SUFFIXES, files_in, refuse_unsafe, write_sums

CONVERTERS = {"dereflection-any-image": "models.dereflection.published:convert"}
NEEDED = {".json", ".safetensors", ".txt"}


def convert(name: str, folder: Path) -> dict[str, Any]:
    """Run the converter of that name on ``folder``, in place, and return its record. Raises ModelError."""
    module, function = CONVERTERS[name].split(":")
    converter: Callable[[Path], dict[str, Any]] = getattr(import_module(module), function)
    return converter(folder)


def convert_parts(name: str, parts: Path, out: Path) -> Path:
    """Make a model in ``out`` from the folders in ``parts``, which stay unchanged. Raises ModelError.

    Files are hard-linked where the disk allows it. ``out`` must not exist yet; a failure leaves none.
    """
    if not parts.is_dir():
        raise ModelError(f"There is no folder {parts} with the parts.")
    if out.exists():
        raise ModelError(f"{out} is there already: name another folder, or remove it.")
    files = [(file, path) for file, path in files_in(parts) if path.suffix in NEEDED]
    if not any(path.suffix == ".safetensors" for _, path in files):
        only = next((file for file, path in files_in(parts) if path.suffix in UNSAFE_SUFFIXES), "")
        reason = f"{only} can run code when it is loaded" if only else "there are none in it"
        raise ModelError(f"The parts must be safetensors files, and of {parts} none can be used: {reason}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=out.parent))
    try:
        made = aside / out.name
        for file, path in files:
            place(path, made / file)
        refuse_unsafe(made)
        convert(name, made)
        write_sums(made, everything=True)
        made.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return out


def place(source: Path, target: Path) -> None:
    """Hard-link ``source`` to ``target``, or copy it where that cannot be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(source, target)
