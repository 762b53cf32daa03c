"""Bring a published model into Limpid's layout.

    python -m models.convert dereflection-any-image                             download, convert, keep in the cache
    python -m models.convert dereflection-any-image --parts DIR --out runs/dai  the same from folders at hand

The app does the first by itself when the model is asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from models.download import CONVERTERS, convert, place
from models.errors import ModelError
from models.hub import resolve
from models.integrity import UNSAFE_SUFFIXES, files_in, refuse_unsafe, write_sums

NEEDED = {".json", ".safetensors", ".txt"}


def convert_parts(name: str, parts: Path, out: Path) -> Path:
    """Make a model in ``out``, a new folder, from the folders in ``parts``, which stay unchanged. Raises ModelError."""
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
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=out.parent) as aside:
        made = Path(aside) / out.name
        for file, path in files:
            place(path, made / file)
        refuse_unsafe(made)
        convert(name, made)
        write_sums(made, everything=True)
        made.rename(out)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.convert", description="Fetch a published model and bring it into Limpid's layout."
    )
    parser.add_argument("model", help="id in the catalog; with --parts one of: " + ", ".join(CONVERTERS))
    parser.add_argument("--parts", type=Path, help="folder with the parts, instead of downloading them")
    parser.add_argument("--out", type=Path, help="where to make the model (with --parts)")
    given = parser.parse_args(arguments)
    if bool(given.parts) != bool(given.out):
        parser.error("--parts and --out go together")
    try:
        if given.parts is None:
            model = resolve(given.model)
            print("\n".join([*model.notes, f"{model.id}, revision {model.revision}: {model.folder}"]))
            return 0
        if given.model not in CONVERTERS:
            parser.error(f"no converter is called {given.model!r}; there is: {', '.join(CONVERTERS)}")
        print(convert_parts(given.model, given.parts, given.out))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
