"""The known pipelines, by the class name in a folder's ``pipeline.json``."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from models.errors import ModelError

PIPELINES = {  # class named in pipeline.json -> module
    "DereflectionPipeline": "models.dereflection.pipeline",
    "DeblurPipeline": "models.deblur.pipeline",
    "SemanticsPipeline": "models.semantics.pipeline",
}


def pipeline_class(folder: Path) -> Any:
    """Import the class that ``folder/pipeline.json`` names. Raises ModelError where it names no known one."""
    try:
        name = json.loads((folder / "pipeline.json").read_text())["_class_name"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"The folder {folder} holds no readable pipeline.json with a _class_name: give a folder written "
            "by save_pretrained, or the id of a model in the catalog."
        ) from error
    if name not in PIPELINES:
        raise ModelError(f"The pipeline {name} of {folder} is not known here; known: {', '.join(PIPELINES)}.")
    return pipeline_named(name)


def pipeline_named(name: str) -> Any:
    """Import one of `PIPELINES`."""
    return getattr(import_module(PIPELINES[name]), name)
