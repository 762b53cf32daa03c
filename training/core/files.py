"""Write files and folders whole or not at all: beside their place first, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder beside ``target`` that takes its place when the block ends without an error.

    After an error ``target`` is as it was; what was written stays in the hidden folder until the next attempt.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def replace_file(file: Path, content: str | bytes) -> None:
    """Write ``content`` (text as UTF-8) to ``file``; a reader, or a killed writer, never meets a part of it."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(partial, file)
