"""Bring a published model into Limpid's layout.

    python -m models.convert dereflection-any-image                             download, convert, keep in the cache
    python -m models.convert dereflection-any-image --parts DIR --out runs/dai  the same from folders at hand

The app does the first by itself when the model is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.conversion import CONVERTERS, convert_parts
from models.errors import ModelError
from models.hub import resolve


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
