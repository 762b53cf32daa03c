"""Time from the start of a server's process to the first answer of its page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

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
            why = f"{url} did not answer within {timeout:.0f} s"
            while time.perf_counter() - begin < timeout:
                if _answers(url):
                    return time.perf_counter() - begin
                if process.poll() is not None:
                    why = f"The server ended with code {process.returncode}"
                    break
                time.sleep(0.05)
            log.seek(0)
            raise RuntimeError(f"{why}:\n{log.read().decode(errors='replace')[-2000:]}")
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
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200  # a proxy would not reach this machine
    except httpx.HTTPError:
        return False
