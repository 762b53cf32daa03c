"""A folder for unfinished files, beside the results, from which finished ones are moved by renaming."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from interface import interrupt

FOLDER_PREFIX = ".unfinished-"


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder in ``out`` and remove it afterwards; folders of killed processes are removed first.

    A process holds a lock beside its folder, which the system releases when the process ends.
    """
    clear_abandoned(out)
    folder = out / (FOLDER_PREFIX + uuid.uuid4().hex[:12])
    with _lock(folder).acquire(blocking=False):
        folder.mkdir()
        try:
            with interrupt.cleaning(lambda: _remove(folder)):
                yield folder
        finally:
            _remove(folder)


def clear_abandoned(out: Path) -> None:
    """Remove the folders in ``out`` whose process has ended."""
    for folder in [path for path in out.glob(FOLDER_PREFIX + "*") if path.is_dir()]:
        try:
            with _lock(folder).acquire(blocking=False):
                _remove(folder)
        except Timeout:
            continue  # in use by another process


def _lock(folder: Path) -> FileLock:
    return FileLock(folder.with_name(folder.name + ".lock"))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # where open files cannot be removed (Windows) it stays, empty
        folder.with_name(folder.name + ".lock").unlink(missing_ok=True)
