"""Files that the browser may ask for: inside gradio's cache folder, swept when they are old."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from pathlib import Path

HOUR_S = 3600
RESULT_LIFETIME_S = 6 * HOUR_S  # how long a result can be downloaded


def cache_folder() -> Path:
    """Limpid's folder inside gradio's cache (which GRADIO_TEMP_DIR moves)."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio") / "limpid"


def new_folder(kind: str) -> Path:
    """A folder of its own for the files of one request; its name cannot be guessed."""
    folder = cache_folder() / kind / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


def sweep(age: float = RESULT_LIFETIME_S) -> None:
    """Deletes what was made for requests more than `age` seconds ago, and the folders that leaves empty."""
    limit = time.time() - age
    for path in sorted(cache_folder().glob("*/*/**/*"), reverse=True):
        try:
            if path.is_file() and path.stat().st_mtime < limit:
                path.unlink()
        except OSError:
            continue  # somebody else deleted it
    for folder in cache_folder().glob("*/*"):
        try:
            if folder.is_dir() and folder.stat().st_mtime < limit:
                folder.rmdir()
        except OSError:
            continue  # not empty


def keep_swept() -> None:
    """Sweeps every hour, for as long as the process lives."""

    def forever() -> None:
        while True:
            sweep()
            time.sleep(HOUR_S)

    threading.Thread(target=forever, name="limpid-sweep", daemon=True).start()
