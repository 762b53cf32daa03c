"""The command line in a process of its own: what it prints without a terminal, and Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT
from tests.interface import files

pytestmark = pytest.mark.slow
STOPPED = "Stopped. Finished photos are kept; the same command does the others."


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "app.py"), *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_without_a_terminal_there_is_a_line_for_each_photo_and_nothing_else(tmp_path: Path) -> None:
    given = [files.photo(tmp_path, "a.png"), files.broken("text", tmp_path), files.photo(tmp_path, "c.png")]
    process = start("restore", *given, "--steps", "dereflection", "--out", tmp_path / "out")
    out, told = process.communicate(timeout=300)
    assert process.returncode == 1 and out.startswith("2 restored, 0 already there, 1 failed")
    lines = told.splitlines()
    assert re.fullmatch(r"1/3 a\.png: restored, \d+\.\d s", lines[0]) and "2/3 text.jpg: failed" in lines[1]
    assert "3/3 c.png: restored" in lines[2] and "text.jpg" in lines[3] and len(lines) == 4  # no library's bars


def test_ctrl_c_is_one_line_and_leaves_nothing_unfinished(tmp_path: Path) -> None:
    photo, out = files.photo(tmp_path, "a.png"), tmp_path / "out"
    process = start("restore", photo, "--out", out)
    deadline = time.monotonic() + 120
    while not list(out.glob(".unfinished-*")):  # at the first photo, whose model imports torch
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    printed, told = process.communicate(timeout=60)
    assert (process.returncode, printed, told.splitlines()) == (130, "", [STOPPED])
    assert list(out.iterdir()) == []
