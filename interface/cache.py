"""Uploads and results, in gradio's cache folder: old ones are deleted, and a quota bounds them all."""

from __future__ import annotations

import getpass
import logging
import os
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from interface.settings import settings
from models.errors import LimpidError

LIFETIME_HOURS = 6
"""How long an upload is kept and a result can be downloaded."""
LIFETIME_S = LIFETIME_HOURS * 3600
UNFINISHED_S = 3600
"""How long the file of an upload that was broken off is kept; one still under way is written to all the time."""
SWEEP_S = 600
SHORTEST_LIFETIME_S = 900
"""How long files are kept at least, where the quota is used up."""
MEASURED_FOR_S = 5.0
_UPLOAD = re.compile(r"[0-9a-f]{64}|tmp\w+")  # gradio's names of uploads, whole and unfinished
_lock = threading.Lock()
_measured: tuple[float, str, int] | None = None  # time, folder, bytes


class NoRoomError(LimpidError):
    """The space for uploads and results is used up."""


def choose_folder() -> None:
    """Let gradio keep its files in a folder of this app and user, unless GRADIO_TEMP_DIR names one."""
    if not os.environ.get("GRADIO_TEMP_DIR"):
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a user without a name, as in some containers
            user = "app"
        os.environ["GRADIO_TEMP_DIR"] = str(Path(tempfile.gettempdir()).resolve() / f"limpid-{user}")


def root_folder() -> Path:
    """Return gradio's cache folder, which GRADIO_TEMP_DIR names."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")


def cache_folder() -> Path:
    """Return Limpid's folder inside gradio's cache."""
    return root_folder() / "limpid"


def new_folder(kind: str) -> Path:
    """Make a folder for the files of one request, with a name that cannot be guessed."""
    folder = cache_folder() / kind / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


def require_room(more: int = 0) -> None:
    """Raise NoRoomError if ``more`` further bytes pass the quota even after the oldest files are deleted."""
    quota = settings().disk_mb
    if quota is None or used_bytes() + more <= quota * 1_000_000:
        return
    with _lock:
        over = used_bytes(fresh=True) + more - 0.8 * quota * 1_000_000
        for file, stat in sorted(_files(), key=lambda one: one[1].st_mtime):
            if over <= 0 or stat.st_mtime > time.time() - SHORTEST_LIFETIME_S:
                break
            _delete(file)
            over -= stat.st_size
    if used_bytes(fresh=True) + more > quota * 1_000_000:
        raise NoRoomError(
            f"The space for uploads and results on this server ({quota} MB) is used up: try again in "
            f"{SHORTEST_LIFETIME_S // 60} minutes. Whoever runs it can raise LIMPID_DISK_MB."
        )


def used_bytes(fresh: bool = False) -> int:
    """Return the size of uploads and results; measured again after a few seconds, or when ``fresh``."""
    global _measured
    now, folder = time.monotonic(), str(root_folder())
    if fresh or _measured is None or _measured[1] != folder or now - _measured[0] > MEASURED_FOR_S:
        _measured = now, folder, sum(stat.st_size for _, stat in _files())
    return _measured[2]


def sweep(age: float = LIFETIME_S) -> None:
    """Delete uploads and results older than `age` seconds, and folders that become empty."""
    limit = time.time() - age
    for file, stat in list(_files()):
        unfinished = file.parent == root_folder()
        if stat.st_mtime < (max(limit, time.time() - UNFINISHED_S) if unfinished else limit):
            _delete(file)
    for folder in [*_uploads(), *cache_folder().glob("*/*")]:
        with suppress(OSError):  # not empty, or deleted by another process
            if folder.is_dir() and not folder.is_symlink() and folder.stat().st_mtime < limit:
                folder.rmdir()


def keep_swept() -> None:
    """Start a thread that sweeps again and again."""

    def forever() -> None:
        while True:
            try:
                sweep()
            except OSError:
                logging.getLogger(__name__).exception("Old uploads could not be deleted")
            time.sleep(SWEEP_S)

    threading.Thread(target=forever, name="limpid-sweep", daemon=True).start()


def _uploads() -> Iterator[Path]:
    """Yield what gradio has put into its cache: a folder for each upload, and unfinished files."""
    with suppress(OSError):
        yield from (path for path in root_folder().iterdir() if _UPLOAD.fullmatch(path.name))


def _files() -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every file of a request with its facts; links are not followed, example photos left out."""
    tops = [*_uploads(), *(path for path in cache_folder().glob("*/*") if path.parent.name != "examples")]
    for top in tops:
        for path in [top, *top.rglob("*")] if top.is_dir() and not top.is_symlink() else [top]:
            with suppress(OSError):  # deleted by another process
                if path.is_symlink() or path.is_file():
                    yield path, path.lstat()


def _delete(file: Path) -> None:
    with suppress(OSError):
        file.unlink()
    with suppress(OSError):
        if file.parent != root_folder():
            file.parent.rmdir()
