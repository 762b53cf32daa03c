"""The network a stage trains: made anew from its configuration, or warm-started from a pipeline."""

from __future__ import annotations

from pathlib import Path

from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.hub import resolve
from training.config import RunConfig
from training.restorer import fingerprint


def build_network(config: RunConfig) -> tuple[SmallDereflection, dict[str, str] | None]:
    """The network in float32, and its lineage: the folder or id it came from and the revision (None if new)."""
    if config.init_from is None:
        return SmallDereflection(**config.model), None
    folder, revision = find_start(config.init_from)
    pipeline = DereflectionPipeline.from_pretrained(folder)
    network = pipeline.network
    if not isinstance(network, SmallDereflection):
        raise ValueError(
            f"init_from {config.init_from} holds a {type(network).__name__}: this stage trains the small one."
        )
    return network.train(), {"init_from": config.init_from, "revision": revision}


def find_start(init_from: str) -> tuple[Path, str]:
    """The folder of a pipeline, or of a model of the catalog, and its revision. ModelError for an unknown id."""
    folder = Path(init_from)
    if folder.is_dir():
        return folder, fingerprint(folder)
    local = resolve(init_from)
    return local.folder, local.revision
