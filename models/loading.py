"""A pipeline's folder: ``pipeline.json`` and parts, with messages for what can be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from models.errors import ModelError

CONFIG = "pipeline.json"


def read_config(folder: Path, task: str) -> dict[str, Any]:
    """Read ``pipeline.json``. Raises ModelError where it is missing or unreadable; ``task`` is for the message."""
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder.name} is not a {task} pipeline: it has no {CONFIG}.")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"{folder.name}/{CONFIG} cannot be read: restore it, or export the model again.")
    return config


def write_config(folder: Path, pipeline: type, **more: str) -> None:
    """Write ``pipeline.json``, which names the pipeline's class."""
    config = {"_class_name": pipeline.__name__, **more}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def load_part(kind: Any, folder: Path, name: str, dtype: torch.dtype) -> Any:
    """Load ``folder/name`` as ``kind``, a class of diffusers or transformers.

    Raises ModelError where the part is missing, unreadable or does not fit its configuration.
    """
    what = f"The part '{name}' of the model folder '{folder.name}'"
    cure = "restore the folder, or download, convert or export the model again"
    if not (folder / name / "config.json").is_file():
        raise ModelError(
            f"The {name} of the model folder '{folder.name}' is missing: there is no part '{name}' (a folder with "
            f"config.json and weights); {cure}."
        )
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        part, info = kind.from_pretrained(folder / name, torch_dtype=dtype, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{what} cannot be read or does not fit its configuration; {cure}.") from error
    wrong = [key for fault in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info[fault]]
    if wrong:
        raise ModelError(f"{what} does not fit its configuration ({len(wrong)} names, '{wrong[0]}' first); {cure}.")
    if hasattr(part, "register_to_config"):  # diffusers keeps the folder's path in what it saves; transformers does not
        part.register_to_config(_name_or_path="")
    return part
