"""A project of retraining: a folder with photos, runs and reports, and the process that works on it.

Everything is on disk, so that a page that is opened anew, or an app that was restarted, finds what is going on.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil

from interface.retrain import stages
from interface.retrain.stages import STAGES, Stage
from models.errors import LimpidError

ROOT = Path(__file__).parents[2]
FOLDER = "LIMPID_RUNS"
"""Environment variable that names the folder of projects."""
PERSISTENT = Path("/data")
"""Where a Space keeps files, if it has persistent storage."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,40}")
STOPPED = (143, -signal.SIGTERM)
NICE = 10
LOG_TAIL = 6000
_lock = threading.RLock()
_children: dict[int, subprocess.Popen[bytes]] = {}  # of this app, whose exit status is known


class RetrainError(LimpidError):
    """Something that cannot be done with a project at present."""


def projects_folder() -> Path:
    """Return the folder of all projects."""
    if named := os.environ.get(FOLDER):
        return Path(named).expanduser().resolve()
    on_space = "SPACE_ID" in os.environ and os.access(PERSISTENT, os.W_OK)
    return PERSISTENT / "limpid-runs" if on_space else ROOT / "runs" / "retrain"


class Project:
    """One project, by its name. Raises RetrainError for a name that cannot be a model's id."""

    def __init__(self, name: str) -> None:
        if not NAME.fullmatch(name or ""):
            raise RetrainError("A model's name has small letters, digits, '-', '_' and '.', such as my-windows.")
        self.name = name
        self.folder = projects_folder() / name

    @property
    def model(self) -> Path:
        """The newest model of the run."""
        return self.folder / "run" / self.name / "model"

    @property
    def pairs(self) -> bool:
        """Whether there are real pairs."""
        return (self.folder / "pairs").is_dir()

    @property
    def state(self) -> dict[str, Any]:
        """What is being done, what is to be done, and what was."""
        found = _json(self.folder / "state.json") or {}
        return {"stage": "", "now": None, "todo": [], "done": [], "failed": "", **found}

    @property
    def stage(self) -> Stage:
        """The stage that was chosen when the photos were taken in."""
        if (key := self.state["stage"]) not in STAGES:
            raise RetrainError("There are no photos yet: add some first.")
        return STAGES[key]

    @property
    def verdict(self) -> dict[str, Any] | None:
        """What measuring found; None before, and where the model has changed since."""
        file, made = self.folder / "report" / "verdict.json", self.model / "record.json"
        if file.is_file() and made.is_file() and file.stat().st_mtime >= made.stat().st_mtime:
            return _json(file)
        return None

    def check_free(self) -> None:
        """Raise RetrainError where new photos would disturb or lose what was made of others."""
        if self.running:
            raise RetrainError("This project is at work: stop it first, or choose another name.")
        if (self.folder / "run").is_dir():
            raise RetrainError(f"'{self.name}' was trained on other photos already: choose another name for these.")

    def begin(self, stage: str, in_use: str) -> None:
        """Start with new photos: make the sheet of the simulator, and measure a step."""
        with _lock:
            self.check_free()
            shutil.rmtree(self.folder / "probe", ignore_errors=True)
            chosen = STAGES[stage]
            todo = [stages.sheet(chosen, self.folder), stages.probe(chosen, self.folder, in_use, self.pairs)]
            self._write({"stage": stage, "in_use": in_use, "todo": todo})
            self.advance()

    def train(self, steps: int) -> None:
        """Train, or go on with a run that was stopped; then measure. Before it, what `begin` began is ended."""
        with _lock:
            state, stage = self.state, self.stage
            first = state["todo"] if self.running and "steps" not in state else []
            if self.running and "steps" in state:
                raise RetrainError("This project is at work already.")
            if (self.folder / "run").is_dir() and steps != state.get("steps"):
                raise RetrainError(f"This run was begun with {state.get('steps')} steps: go on with that number.")
            in_use = state["in_use"]
            train = stages.training(stage, self.folder, self.name, steps, in_use, self.pairs)
            todo = [*first, train, stages.measuring(self.folder, self.name, in_use)]
            self._write({**state, "steps": steps, "todo": todo, "failed": ""})
            self.advance()

    def publish(self, repository: str, token: str) -> None:
        """Write the card and upload the model; the token is given to that process alone."""
        with _lock:
            if self.running:
                raise RetrainError("This project is at work: wait for its end, or stop it.")
            if not (self.verdict or {}).get("offered"):
                raise RetrainError("Only a model that was measured, and is better than doing nothing, is published.")
            todo = [stages.publishing(self.folder, self.name, repository)]
            self._write({**self.state, "todo": todo, "failed": ""})
            self.advance({"HF_TOKEN": token} if token else {})

    def stop(self) -> None:
        """Ask the process to stop; training writes a checkpoint first, and can be gone on with."""
        with _lock:
            state = self.state
            if process := _alive(state["now"]):
                self._write({**state, "todo": []})
                process.terminate()

    @property
    def running(self) -> bool:
        """Whether a process is at work."""
        return _alive(self.state["now"]) is not None

    def advance(self, secrets: dict[str, str] | None = None) -> dict[str, Any]:
        """Start the next command once the one before has ended well; return the state."""
        with _lock:
            state = self.state
            if not self.folder.is_dir() or self.running:
                return state
            if now := state["now"]:
                child = _children.pop(now["pid"], None)
                code = child.wait() if child else 0  # else the app was restarted: its files tell
                if code == 0:
                    state["done"] = [*state["done"], now["command"][0]]
                elif code not in STOPPED:
                    state["failed"] = f"{now['command'][0]} ended with {code}: {_last_line(self.log)}"
                if code != 0:
                    state["todo"] = []
                state["now"] = None
            if state["todo"]:
                command, *state["todo"] = state["todo"]
                state["now"] = self._start(command, secrets or {})
            self._write(state)
            return state

    def _start(self, command: list[str], secrets: dict[str, str]) -> dict[str, Any]:
        words = [sys.executable, "-m", *command]
        with (self.folder / "log.txt").open("ab") as log:
            log.write(f"$ python -m {' '.join(command)}\n".encode())
            log.flush()
            environment = {**os.environ, "PYTHONUNBUFFERED": "1", **secrets}
            child = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
        process = psutil.Process(child.pid)
        process.nice(NICE)  # the app goes on answering
        _children[child.pid] = child
        return {"pid": child.pid, "created": process.create_time(), "command": command}

    def _write(self, state: dict[str, Any]) -> None:
        part = self.folder / "state.part"
        self.folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(state, indent=2) + "\n")
        part.replace(self.folder / "state.json")

    @property
    def log(self) -> str:
        """The end of what the processes printed."""
        file = self.folder / "log.txt"
        text = file.read_bytes()[-LOG_TAIL:].decode(errors="replace") if file.is_file() else ""
        return "\n".join(line.rpartition("\r")[2] for line in text.splitlines())

    def curve(self, name: str, run: str = "") -> list[dict[str, float]]:
        """Read loss.csv or validation.csv of the run; [] before there is one."""
        file = (self.folder / run if run else self.folder / "run" / self.name) / name
        try:
            with file.open(newline="") as stream:
                return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
        except (OSError, ValueError, TypeError):  # not there, or its last line is half written
            return []

    def minutes(self, steps: int) -> float | None:
        """Forecast how long so many steps take here, by the measured ones; None before these."""
        rows = self.curve("loss.csv", "probe")
        if len(rows) < 2:
            return None
        each = (rows[-1]["seconds"] - rows[0]["seconds"]) / (rows[-1]["step"] - rows[0]["step"])
        return steps * each / 60


def _alive(now: dict[str, Any] | None) -> psutil.Process | None:
    try:
        process = psutil.Process(now["pid"]) if now else None
        if process and process.create_time() == now["created"] and process.status() != psutil.STATUS_ZOMBIE:  # type: ignore[index]
            return process
    except psutil.Error:
        pass
    return None


def _json(file: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"
