"""A folder for what is unfinished, beside the results, so that finishing is a rename; a killed process's is removed."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER_PREFIX = ".unfinished-"


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """A new folder in ``out``, gone afterwards; those of processes that were killed are removed first.

    A process holds the lock beside its folder, made before it, and the system lets go of it when the process ends.
    """
    clear_abandoned(out)
    folder = out / (FOLDER_PREFIX + uuid.uuid4().hex[:12])
    with _lock(folder).acquire(blocking=False):
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder)


def clear_abandoned(out: Path) -> None:
    """Remove the folders in ``out`` whose process is no more."""
    for folder in [path for path in out.glob(FOLDER_PREFIX + "*") if path.is_dir()]:
        try:
            with _lock(folder).acquire(blocking=False):
                _remove(folder)
        except Timeout:
            continue  # another process is at work in it


def _lock(folder: Path) -> FileLock:
    return FileLock(folder.with_name(folder.name + ".lock"))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # where open files cannot be removed (Windows) it stays, empty
        folder.with_name(folder.name + ".lock").unlink(missing_ok=True)
