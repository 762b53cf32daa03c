"""Pipelines and their folders: ``pipeline.json``, which names the class, and parts, each with its own configuration.

Options of networks in published checkpoints and records of runs may have former names, which are mapped to today's.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin
from diffusers.utils import logging as diffusers_logging

from models.errors import ModelError

diffusers_logging.disable_progress_bar()  # a model is loaded in the middle of progress of our own
CONFIG = "pipeline.json"
PIPELINES = {  # class named in pipeline.json -> module
    "DereflectionPipeline": "models.dereflection.pipeline",
    "DeblurPipeline": "models.deblur.pipeline",
    "SemanticsPipeline": "models.semantics.pipeline",
}


def pipeline_named(name: str) -> Any:
    """Import one of `PIPELINES`."""
    return getattr(import_module(PIPELINES[name]), name)


def pipeline_class(folder: Path) -> Any:
    """Import the class that ``folder/pipeline.json`` names. Raises ModelError where it names no known one."""
    name = read_config(folder).get("_class_name")
    if name not in PIPELINES:
        raise ModelError(f"The pipeline {name} of {folder} is not known here; known: {', '.join(PIPELINES)}.")
    return pipeline_named(name)


def read_config(folder: Path, pipeline: type | None = None) -> dict[str, Any]:
    """Read ``pipeline.json``. Raises ModelError where it is missing, unreadable, or names another ``pipeline``."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        name = config["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        cure = "give a folder written by save_pretrained, or the id of a model in the catalog"
        raise ModelError(f"The folder {folder} holds no readable {CONFIG} with a _class_name: {cure}.") from error
    if pipeline is not None and name != pipeline.__name__:
        raise ModelError(f"{folder.name} is not a {pipeline.__name__}: its {CONFIG} names {name!r}.")
    return dict(config)


def write_config(folder: Path, pipeline: type, **more: str) -> None:
    """Write ``pipeline.json``, which names the pipeline's class."""
    config = {"_class_name": pipeline.__name__, **more}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def load_network(
    pipeline: type, kind: Any, folder: Path, device: str, dtype: torch.dtype
) -> tuple[Any, dict[str, Any]]:
    """Load ``folder/network`` for inference, and ``pipeline.json``. Raises ModelError for another kind of folder."""
    config = read_config(folder, pipeline)
    network = load_part(kind, folder, "network", dtype)
    return network.eval().requires_grad_(False).to(torch.device(device)), config


def save_network(pipeline: Any, folder: Path, dtype: str, max_shard_size: str, **more: str) -> None:
    """Write ``folder/network``, as safetensors in ``dtype``, and ``pipeline.json`` with ``more`` entries."""
    folder.mkdir(parents=True, exist_ok=True)
    network = copy.deepcopy(pipeline.network).to(getattr(torch, dtype))
    network.save_pretrained(folder / "network", max_shard_size=max_shard_size)
    write_config(folder, type(pipeline), **more)


def load_part(kind: Any, folder: Path, name: str, dtype: torch.dtype) -> Any:
    """Load ``folder/name`` as ``kind``, a class of diffusers or transformers. Raises ModelError."""
    what = f"The part '{name}' of the model folder '{folder.name}'"
    cure = "restore the folder, or download, convert or export the model again"
    if not (folder / name / "config.json").is_file():
        missing = f"there is no part '{name}' (a folder with config.json and weights)"
        raise ModelError(f"The {name} of the model folder '{folder.name}' is missing: {missing}; {cure}.")
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    if kind.__module__.startswith("transformers."):
        import_module("transformers.utils.logging").disable_progress_bar()
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


RENAMED_OPTIONS = {  # former name -> name today
    "deep": "deep_motion_encoder",
    "effect": "residual_scale",
    "far": "long_range_features",
    "lift": "detail_gain",
    "mirror": "flip_tta",
    "tone": "global_affine_weight",
}


def rename_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``options`` under today's names, in their order. Raises ValueError where one is given under both."""
    if twice := [old for old, new in RENAMED_OPTIONS.items() if old in options and new in options]:
        raise ValueError(f"'{twice[0]}' is the former name of '{RENAMED_OPTIONS[twice[0]]}': give one of them.")
    return {RENAMED_OPTIONS.get(name, name): value for name, value in options.items()}


class RenamedOptions(ConfigMixin):
    """Mixin for diffusers models, ahead of ``ConfigMixin``: their ``config.json`` may hold former names."""

    @classmethod
    def extract_init_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Split a configuration into arguments and the rest, as diffusers does, under today's names."""
        return super().extract_init_dict(rename_options(config_dict), **kwargs)
