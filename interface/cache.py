"""Files for the browser, in gradio's cache folder; old ones are deleted."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from pathlib import Path

HOUR_S = 3600
RESULT_LIFETIME_S = 6 * HOUR_S
"""How long a result can be downloaded."""


def cache_folder() -> Path:
    """Return Limpid's folder inside gradio's cache, which GRADIO_TEMP_DIR names."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio") / "limpid"


def new_folder(kind: str) -> Path:
    """Make a folder for the files of one request, with a name that cannot be guessed."""
    folder = cache_folder() / kind / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


def sweep(age: float = RESULT_LIFETIME_S) -> None:
    """Delete files of requests older than `age` seconds, and folders that become empty."""
    limit = time.time() - age
    for path in sorted(cache_folder().glob("*/*/**/*"), reverse=True):
        try:
            if path.is_file() and path.stat().st_mtime < limit:
                path.unlink()
        except OSError:
            continue  # deleted by another process
    for folder in cache_folder().glob("*/*"):
        try:
            if folder.is_dir() and folder.stat().st_mtime < limit:
                folder.rmdir()
        except OSError:
            continue  # not empty


def keep_swept() -> None:
    """Start a thread that sweeps every hour."""

    def forever() -> None:
        while True:
            sweep()
            time.sleep(HOUR_S)

    threading.Thread(target=forever, name="limpid-sweep", daemon=True).start()
