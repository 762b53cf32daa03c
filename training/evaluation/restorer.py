"""A model under evaluation: the shipped pipeline with 8-bit pictures in and out, and its identity."""

import inspect
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.loading import pipeline_class
from training.evaluation.protocol import EvaluationError, as_float, to_8bit
from training.evaluation.sheet import DIFFERENCE, REMOVED, difference


@dataclass(frozen=True)
class Prediction:
    """The restored picture, uint8 H x W x 3, the seconds it took, and what only some pipelines give."""

    image: np.ndarray
    seconds: float
    removed: np.ndarray | None = None  # uint8 H x W x 3: the layer taken off, of dereflection
    motion: np.ndarray | None = None  # float32 H x W x 2, px: the motion field, of deblurring

    @property
    def column(self) -> str:
        """Name what :meth:`change` gives, for a contact sheet."""
        return DIFFERENCE if self.removed is None else REMOVED

    def change(self, photo: np.ndarray) -> np.ndarray:
        """Show what was done to ``photo``: the removed layer, or else the difference; uint8 H x W x 3."""
        return difference(photo, self.image) if self.removed is None else self.removed


@dataclass
class Restorer:
    """Runs a pipeline (`models.loading`); ``identity`` says which model on which device, for the report."""

    pipeline: Any
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
        removed = getattr(output, "reflection", None)
        removed = None if removed is None else to_8bit(removed)
        return Prediction(to_8bit(output.image), seconds, removed, getattr(output, "motion", None))

    def finds(self, photo: np.ndarray) -> dict[str, bool]:
        """Return {"found": whether the pipeline finds its fault in ``photo``}; {} where it makes no diagnosis."""
        detect = getattr(self.pipeline, "detect", None)
        verdict = detect(as_float(photo)) if detect else None
        return {} if verdict is None else {"found": bool(verdict["found"])}

    def tiled(
        self, photo: np.ndarray, tile: int | None, offset: tuple[int, int] = (0, 0)
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Restore in tiles (None: the pipeline's own); return the picture, float32 and unrounded, and the plan."""
        output = self.pipeline(as_float(photo), tile=tile, tile_offset=offset, **self.options)
        return output.image, output.plan


def load_restorer(model: str, device: str | None = None, dtype: str | None = None) -> Restorer:
    """Load a model of the hub by its id, or a folder that holds ``pipeline.json``.

    Device and precision default to what the app would choose. Raises LimpidError for what restores no pictures.
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
    """Return a restorer that tells the pipeline that pixel values are proportional to light (``linear=True``).

    Raises EvaluationError where the pipeline has no such option.
    """
    if "linear" not in inspect.signature(type(restorer.pipeline).__call__).parameters:
        raise EvaluationError(
            f"--linear is for models of deblurring: {restorer.identity.get('model')} takes no such option."
        )
    return Restorer(restorer.pipeline, restorer.identity | {"light": "linear"}, restorer.options | {"linear": True})
