"""Ctrl-C on the command line: one line, and the end at once, whatever is running.

Python's own KeyboardInterrupt is raised in the middle of any statement: a library that is being imported then fails in
ways of its own, or goes on. Results are moved into place when they are whole, so a process may end anywhere.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_INTERRUPTED = 130
_cleanups: list[Callable[[], object]] = []
_message = "Stopped."


def say(message: str) -> None:
    """Set the line that is printed."""
    global _message
    _message = message


def end_in_one_line() -> None:
    """From now on, let SIGINT print a line and end the process with status 130."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one line, however often it is pressed
        try:
            for clean in _cleanups:
                clean()
        finally:
            if os.environ.get("RANK", "0") == "0":
                erase = "\r\x1b[K" if sys.stderr.isatty() else ""  # a progress bar
                os.write(2, f"{erase}{_message}\n".encode())
            os._exit(EXIT_INTERRUPTED)

    signal.signal(signal.SIGINT, end)


@contextmanager
def cleaning(clean: Callable[[], object]) -> Iterator[None]:
    """Call ``clean`` if the process is interrupted in this block."""
    _cleanups.append(clean)
    try:
        yield
    finally:
        _cleanups.remove(clean)
