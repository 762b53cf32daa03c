"""The app in a process of its own: `python -m tests.campaign.serving CATALOG PLUGIN …`, "-" for the usual catalog."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests import ROOT
from tests.interface.conftest import free_port


@dataclass(frozen=True)
class Served:
    """A running app: its address (with a slash at the end), process, folder of uploads, and log."""

    url: str
    process: subprocess.Popen[bytes]
    uploads: Path
    log: Path

    def memory_mb(self, kind: str = "VmRSS") -> float:
        """Return the memory of the process in MiB: resident now (VmRSS), or at most since its start (VmHWM)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(kind + ":"):
                return int(line.split()[1]) / 1024
        raise OSError(f"no {kind} of process {self.process.pid}")


@contextmanager
def served(
    catalog: Path | None, folder: Path, *plugins: Path, port: int = 0, env: dict[str, str] | None = None
) -> Iterator[Served]:
    """Start the app and wait until it answers; kill it at the end. `catalog` None: the embedded models."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    uploads, log = folder / "uploads", folder / "server.log"
    variables = {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(uploads),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        **(env or {}),
    }
    command = [sys.executable, "-m", "tests.campaign.serving", str(catalog or "-"), *map(str, plugins)]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **variables}, stdout=out, stderr=subprocess.STDOUT
        )
    app = Served(f"http://127.0.0.1:{port}/", process, uploads, log)
    try:
        wait_for(app)
        yield app
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()


def wait_for(app: Served, seconds: float = 180) -> None:
    """Wait until the app answers /health. Raises RuntimeError with its log if it does not."""
    late = time.monotonic() + seconds
    while time.monotonic() < late and app.process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{app.url}gradio_api/info", timeout=5).status_code in (200, 401):
                return
        time.sleep(0.1)
    raise RuntimeError(f"the app does not answer: {app.log.read_text()[-3000:]}")


def main(words: list[str]) -> None:
    from interface.server import serve
    from interface.service import Service
    from models.hub import Catalog

    catalog = None if words[0] == "-" else Catalog.load(Path(words[0]))
    serve(Service(map(Path, words[1:]), catalog))


if __name__ == "__main__":
    main(sys.argv[1:])
