"""The tasks that can be trained, by name, and the configurations of their runs."""

from pathlib import Path
from typing import Any, TypeVar, overload

from training.core.config import RunConfig, read_tree
from training.tasks.deblur.task import TASK as DEBLUR
from training.tasks.dereflection.task import TASK as DEREFLECTION
from training.tasks.semantics.task import TASK as SEMANTICS
from training.tasks.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (DEREFLECTION, DEBLUR, SEMANTICS)}
Run = TypeVar("Run", bound=RunConfig)


def make_run(tree: dict[str, Any]) -> RunConfig:
    """Make the configuration of ``tree["task"]`` (default: dereflection); ValueError for what does not fit."""
    name = tree.get("task", DEREFLECTION.name)
    if name not in TASKS:
        raise ValueError(f"There is no task {name!r}: choose from {', '.join(TASKS)}.")
    return TASKS[name].config(**tree)


@overload
def load_config(file: Path, overrides: list[str] | None = None) -> RunConfig: ...
@overload
def load_config(file: Path, overrides: list[str] | None, kind: type[Run]) -> Run: ...
def load_config(file: Path, overrides: list[str] | None = None, kind: type[RunConfig] = RunConfig) -> RunConfig:
    """Read a YAML stage with its base and ``overrides`` (`training.core.config.read_tree`).

    ValueError where it does not fit, or is of another task than ``kind``.
    """
    config = make_run(read_tree(file, overrides))
    if not isinstance(config, kind):
        raise ValueError(f"{file} is a stage of {config.task}: this needs one of {kind.model_fields['task'].default}.")
    return config
