"""The files of one run: written aside, and moved to their names together."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import is_full_disk
from plugins.host.decode import PictureError


class RunFiles:
    """The files of one run, written to a temporary folder and moved into place together at the end."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder = folder
        self.stem = stem
        self._aside = folder
        self._names: list[str] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the folders, and remove the temporary one afterwards. Raises PictureError where anything fails."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._aside = Path(tempfile.mkdtemp(prefix=".limpid-", dir=self.folder))
            try:
                yield
            finally:
                shutil.rmtree(self._aside, ignore_errors=True)
        except OSError as error:
            reason = "the disk is full, so make room on it" if is_full_disk(error) else error.strerror or str(error)
            raise PictureError(f"The result cannot be written: {reason}.") from error

    def add(self, name: str) -> Path:
        """Return the temporary path of a file of that final name."""
        self._names.append(name)
        return self._aside / name

    def layer(self, label: str) -> Path:
        """Add a file for a layer, with a unique name: a plugin may call a layer "restored", as the result is called."""
        word = "".join(letter if letter.isalnum() else "-" for letter in label.lower())
        word = word.encode()[:80].decode(errors="ignore").strip("-") or "layer"
        name, count = f"{self.stem}-{word}.png", 1
        while name in self._names:
            count += 1
            name = f"{self.stem}-{word}-{count}.png"
        return self.add(name)

    def at(self, path: Path) -> Path:
        """Return the final path of a file of this run."""
        return self.folder / path.name

    def publish(self) -> None:
        """Move all files to their final names."""
        for name in self._names:
            os.replace(self._aside / name, self.folder / name)
