"""A model under evaluation: the shipped pipeline with 8-bit pictures in and out, and its identity."""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from models.loading import pipeline_class
from training.evaluation.protocol import EvaluationError, as_float, to_8bit
from training.evaluation.sheet import DIFFERENCE, REMOVED, difference


class Restoration(Protocol):
    """What every pipeline returns: float32 H x W x 3 in [0, 1], and the tiles it used.

    Some have more, as an attribute or in a dict ``layers``: ``reflection`` (as the image), the layer that was removed;
    ``motion`` (float32 H x W x 2, px), the blur's motion field.
    """

    @property
    def image(self) -> np.ndarray:
        """The restored picture, float32 H x W x 3 in [0, 1]."""

    @property
    def plan(self) -> dict[str, Any]:
        """The tiles used: their number (``tiles``) and size (``tile_size``)."""


class Pipeline(Protocol):
    """The call shared by the shipped pipelines; the photo is float32 H x W x 3 in [0, 1]."""

    def __call__(
        self, photo: np.ndarray, *, tile: int | None = None, tile_offset: tuple[int, int] = (0, 0)
    ) -> Restoration:
        """Restore ``photo`` in tiles of at most ``tile`` px a side, shifted by ``tile_offset`` px, down and right."""


@dataclass(frozen=True)
class Prediction:
    """The restored picture, uint8 H x W x 3, the seconds it took, and what only some pipelines give."""

    image: np.ndarray
    seconds: float
    removed: np.ndarray | None = None  # uint8 H x W x 3: the layer taken off, of dereflection
    motion: np.ndarray | None = None  # float32 H x W x 2, px: the motion field, of deblurring

    @property
    def column(self) -> str:
        """What :meth:`change` is, as a column of a contact sheet."""
        return DIFFERENCE if self.removed is None else REMOVED

    def change(self, photo: np.ndarray) -> np.ndarray:
        """What was done to ``photo``, to look at: the removed layer, or else the difference; uint8 H x W x 3."""
        return difference(photo, self.image) if self.removed is None else self.removed


@dataclass
class Restorer:
    """Runs a pipeline; ``identity`` says which model on which device, for the report."""

    pipeline: Pipeline
    identity: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  # for every call

    def __call__(self, photo: np.ndarray) -> Prediction:
        """Restore a photo, uint8 H x W x 3; pictures of the result are rounded to 8 bits."""
        start = time.perf_counter()
        output = self.pipeline(as_float(photo), **self.options)
        seconds = time.perf_counter() - start
        if output.image.shape != photo.shape:
            raise EvaluationError(
                f"The pipeline answered a photo of shape {photo.shape} with a picture of shape "
                f"{output.image.shape}: it must keep the size."
            )
        removed, motion = _extra(output, "reflection"), _extra(output, "motion")
        removed = None if removed is None else to_8bit(removed)
        return Prediction(to_8bit(output.image), seconds, removed, motion)

    def tiled(
        self, photo: np.ndarray, tile: int | None, offset: tuple[int, int] = (0, 0)
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The restored picture, float32 and unrounded, in tiles (None: the pipeline's own); and the plan."""
        output = self.pipeline(as_float(photo), tile=tile, tile_offset=offset, **self.options)
        return output.image, output.plan


def load_restorer(model: str, device: str | None = None, dtype: str | None = None) -> Restorer:
    """A model of the hub by its id, or a folder that holds ``pipeline.json``.

    Device and precision default to what the app would choose. Raises EvaluationError for a folder that holds
    no pipeline we know, ModelError for an id the hub cannot resolve.
    """
    from models import hub, runtime

    folder, revision = hub.locate(model)
    name = folder.resolve().name if Path(model).is_dir() else model
    live = runtime.probe(device=device, dtype=dtype)
    kind = pipeline_class(folder)
    if kind.__name__ == "SemanticsPipeline":
        raise EvaluationError(
            f"{name} says what photos show, and restores none: see training.tasks.semantics.evaluation."
        )
    pipeline = kind.from_pretrained(folder, device=live.device, dtype=live.dtype, attention=live.attention)
    identity = {"model": name, "revision": revision, "device": live.device, "dtype": live.dtype}
    return Restorer(pipeline, identity | {"attention": live.attention})


def with_linear_input(restorer: Restorer) -> Restorer:
    """Return a restorer that passes ``linear=True`` to the pipeline: pixel values are proportional to light.

    EvaluationError where the pipeline has no such option.
    """
    call = type(restorer.pipeline).__call__
    if "linear" not in inspect.signature(call).parameters:
        raise EvaluationError(
            f"--linear is for models of deblurring: {restorer.identity.get('model')} takes no such option."
        )
    return Restorer(restorer.pipeline, restorer.identity | {"light": "linear"}, restorer.options | {"linear": True})


def _extra(output: Restoration, name: str) -> np.ndarray | None:
    found = getattr(output, name, None)
    return (getattr(output, "layers", None) or {}).get(name) if found is None else found
