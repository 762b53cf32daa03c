"""Naming of a new model in a catalog, so that it is in the list of models at once and after a restart."""

from __future__ import annotations

import json
import os
from pathlib import Path

from interface.retrain.project import Project, RetrainError, projects_folder
from models.catalog import USER_CATALOG, Catalog, read_catalog


def own_catalog() -> Path:
    """Return the catalog of one's own models: that of LIMPID_CATALOG, else one beside the projects."""
    named = os.environ.get(USER_CATALOG)
    return Path(named).expanduser() if named else projects_folder() / "catalog.toml"


def use_own_catalog() -> None:
    """Let this process, and those it starts, read the catalog of models that were named here."""
    if USER_CATALOG not in os.environ and own_catalog().is_file():
        os.environ[USER_CATALOG] = str(own_catalog())


def name_model(project: Project, catalog: Catalog, default: bool) -> str:
    """Put the model of a project into the catalog; return what was done, as a sentence.

    Raises RetrainError for a model that was not measured, or is worse than doing nothing, or whose name is taken.
    """
    verdict = project.verdict
    if verdict is None:
        raise RetrainError("The model has not been measured yet: train, and wait for the verdict.")
    if not verdict["offered"]:
        raise RetrainError(str(verdict["text"]))
    if project.name in [entry.id for entry in catalog.entries()]:
        raise RetrainError(f"There is a model '{project.name}' already: it has what was trained last.")
    entry = {
        "id": project.name,
        "name": project.name,
        "task": project.stage.task,
        "tier": "small",
        "source": "local",
        "path": os.path.relpath(project.model, own_catalog().resolve().parent),
        "licence": "other",
        "summary": f"Trained here. {verdict['text']}",
        "default": default,
    }
    table = "\n[[model]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
    file = own_catalog()
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.read_text() if file.is_file() else ""
    part = file.with_name(f".{file.name}.part")
    part.write_text(before + table)
    added = [one for one in read_catalog(part) if one.id == project.name]  # it is read before it takes its place
    part.replace(file)
    os.environ[USER_CATALOG] = str(file)
    for one in added:
        catalog.add(one)
    usual = " and is used unless another is asked for" if default else ""
    return f"'{project.name}' is in the list of models{usual}. It is named in {file.name}, which the app reads."
