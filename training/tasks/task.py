"""What a task is made of. A new task is a folder beside this file with a `Task`, and a line in the registry."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from models.guidance import TAG_PARAMETER_PREFIXES
from models.loading import pipeline_named
from training.core.config import PhotoConfig, RunConfig

Example = tuple[str, np.ndarray, np.ndarray]  # what it shows, photo and target, uint8 H x W x 3


@dataclass(frozen=True)
class Components:
    """The parts of a run; those to call get the run's configuration (``source`` its data and seed).

    ``unused``: prefixes of the parameters without a part in the objective, for whose gradients DDP would wait.
    """

    network: type[nn.Module]
    source: Callable[..., Any]
    objective: Callable[..., Any]
    unused: tuple[str, ...]
    validator: Callable[..., Any]


@dataclass(frozen=True)
class CardText:
    """What the model card of a task's models says; figures are not here, they come from records and reports.

    ``details``, called with the network's configuration and the configurations of all runs behind it, gives the values
    of the fields of ``how`` that the network's configuration does not have.
    """

    tag: str
    task: str
    use: str
    how: str
    details: Callable[[dict[str, Any], Sequence[dict[str, Any]]], dict[str, Any]]
    field: str = "image-restoration"
    pipeline_tag: str = "image-to-image"
    command: str = "training.evaluate"


@dataclass(frozen=True)
class Task:
    """One task, as the trainer, the card and the publisher read it.

    ``components`` imports what a run needs when one is made: tasks need libraries that others do not, and a packed run
    (`training.pack`) has only its own. ``examples`` gives degraded photos and targets of a run's distribution, for a
    contact sheet titled by ``degradation``; None: there is nothing to show.
    """

    name: str
    config: type[RunConfig]
    pipeline_name: str
    components: Callable[[Any], Components]
    card: CardText
    degradation: str = ""
    examples: Callable[[Any], Iterator[Example]] | None = None

    def pipeline(self) -> Any:
        """Import the class of the pipeline that the trained network becomes."""
        return pipeline_named(self.pipeline_name)


def unused_tags(config: RunConfig) -> tuple[str, ...]:
    """Return prefixes of the table of tags and of what tags act by, where the samples have none."""
    assert isinstance(config.data, PhotoConfig)
    return () if config.data.guidance else TAG_PARAMETER_PREFIXES


def tags_sentence(network: dict[str, Any]) -> str:
    """Say on a card which tags may guide a network; "" for one trained without."""
    if not (count := len(network.get("tags") or [])):
        return ""
    return f" {count} tags may guide it: they scale and shift its features. Without them nothing of that has a part."
