"""Time from the start of a server's process to the first answer of its page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent


def start_seconds(command: Sequence[str], url: str, port: int, timeout: float = 120.0) -> float:
    """Start ``command`` with GRADIO_SERVER_PORT set, request ``url`` until it answers 200, and stop the process.

    Raises RuntimeError with the last output of the process if it ends first or after ``timeout`` seconds.
    """
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            while time.perf_counter() - begin < timeout:
                if _answers(url):
                    return time.perf_counter() - begin
                if process.poll() is not None:
                    raise RuntimeError(f"The server ended with code {process.returncode}:\n{_tail(log)}")
                time.sleep(0.05)
            raise RuntimeError(f"{url} did not answer within {timeout:.0f} s:\n{_tail(log)}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def app_start_seconds() -> float:
    """Return the seconds from start to answer of the app, on a free port."""
    port = free_port()
    return start_seconds([sys.executable, "app.py"], f"http://127.0.0.1:{port}/", port)


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would not reach this machine
    try:
        with direct.open(url, timeout=5) as answer:
            return answer.status == 200 and bool(answer.read(1))
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")[-2000:]
