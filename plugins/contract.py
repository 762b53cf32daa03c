"""What a plugin is.

A plugin matches :class:`Plugin` by structure and imports nothing of ours: what it returns may be the classes below,
any object with the same attributes (``types.SimpleNamespace``), or a dict with the same keys.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import LimpidError

if TYPE_CHECKING:
    from models.hub import LocalModel
    from models.runtime import Runtime

API = 1
"""Version of this contract; a plugin.toml names the one it was written for."""


class PluginError(LimpidError):
    """A plugin cannot be used, or failed on a picture."""


class Cancelled(LimpidError):
    """The person who asked no longer wants the result."""

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message)


class Tiling(BaseModel):
    """How a plugin wants its picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["whole", "tiled", "internal"] = "whole"
    """whole: the picture at once; tiled: the host cuts and blends; internal: the plugin does what is needed."""
    multiple: int = Field(default=1, ge=1, le=256)
    """Sides the plugin takes are multiples of this; the host pads and crops ("internal": the plugin does)."""
    size: int = Field(default=512, ge=16)
    """Side of a tile, in pixels (mode "tiled")."""
    overlap: int = Field(default=64, ge=0)
    """Pixels that neighbouring tiles share, blended with a feather (mode "tiled")."""

    @model_validator(mode="after")
    def _tiles_hold_something(self) -> Tiling:
        if self.size < 2 * self.multiple or self.size <= 2 * self.overlap:
            raise ValueError("a tile's size must be at least twice its multiple, and more than twice its overlap")
        return self


class Manifest(BaseModel):
    """plugin.toml. Anything unknown in it is an error, so that a misspelling is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api: int
    id: str = Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")
    """Also the endpoint's name and the command-line word."""
    kind: Literal["restore", "guide"]
    name: str = Field(min_length=1, max_length=60)
    summary: str = Field(min_length=1, max_length=400)
    entry: str = ""
    """"module:Class" beside plugin.toml. For an installed package its entry point says this instead."""
    order: int = 100
    """Place in lists, and in a chain when none is given; small comes first."""
    guidance: tuple[Literal["caption", "tags"], ...] = ()
    """What a restorer accepts, or what a guide provides."""
    task: str = ""
    """Task in the model catalog whose models it loads; empty: it needs none, and ``load`` is given None."""
    precisions: tuple[Literal["float32", "bfloat16", "float16"], ...] = ("float32",)
    """Precisions it runs at, the one to fall back on first."""
    tiling: Tiling = Tiling()


@dataclass(frozen=True)
class Size:
    """Width and height in pixels, of the upright picture."""

    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """``pixels``: float32 H x W x 3, sRGB in [0, 1]. ``mask``: float32 H x W, 1 where restoring is wanted, or None."""

    pixels: np.ndarray
    mask: np.ndarray | None = None

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[1], self.pixels.shape[0])


@dataclass(frozen=True)
class Cost:
    """What a run is expected to take: seconds, MiB of working memory, number of tiles."""

    seconds: float
    memory_mb: float
    tiles: int = 1


@dataclass(frozen=True)
class Result:
    """``image``: float32 H x W x 3, sRGB in [0, 1], the size of the picture given.

    ``layers``: pictures to show beside it, by name (H x W x 3 or H x W, in [0, 1]). ``info``: JSON; its "plan" and
    "notes" go to the run record.
    """

    image: np.ndarray
    layers: dict[str, np.ndarray] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tag:
    """One thing a photo shows, with a score in [0, 1]."""

    name: str
    score: float = 1.0


@dataclass(frozen=True)
class Guidance:
    """What a photo shows, in words: never a model's tokens."""

    caption: str = ""
    tags: list[Tag] = field(default_factory=list)
    model: str = ""

    def as_dict(self) -> dict[str, Any]:
        tags = [{"name": tag.name, "score": round(float(tag.score), 4)} for tag in self.tags]
        return {"caption": self.caption, "tags": tags, "model": self.model}


class Progress:
    """Tells how far a run is, and stops it when it is cancelled.

    ``report(fraction, message)`` is called with a fraction in [0, 1]; ``cancelled`` is asked at every step.
    """

    def __init__(
        self,
        report: Callable[[float, str], None] | None = None,
        cancelled: Callable[[], bool] | threading.Event | None = None,
        span: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self._report = report
        self._cancelled = cancelled.is_set if isinstance(cancelled, threading.Event) else cancelled
        self._span = span

    def check(self) -> None:
        """Raises Cancelled once the run is no longer wanted. Call it between pieces of work."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    def update(self, fraction: float, message: str = "") -> None:
        """Reports ``fraction`` (0 to 1) of this part as done; raises Cancelled as ``check`` does."""
        self.check()
        if self._report is not None:
            start, end = self._span
            self._report(start + (end - start) * min(max(fraction, 0.0), 1.0), message)

    def part(self, start: float, end: float) -> Progress:
        """A progress whose 0 to 1 is ``start`` to ``end`` of this one."""
        low, high = self._span
        return Progress(self._report, self._cancelled, (low + (high - low) * start, low + (high - low) * end))

    def silent(self) -> Progress:
        """A progress that still stops when cancelled, and reports nothing."""
        return Progress(None, self._cancelled)


@dataclass(frozen=True)
class LoadContext:
    """Where and how to load: ``runtime.device``, ``.dtype``, ``.attention``."""

    runtime: Runtime


@dataclass(frozen=True)
class RunContext:
    """What a run is given beside the picture and the Params. Append a sentence to ``notes`` for the run record."""

    seed: int = 0
    guidance: Guidance | None = None
    progress: Progress = field(default_factory=Progress)
    notes: list[str] = field(default_factory=list)


@runtime_checkable
class Plugin(Protocol):
    """A plugin is a class with these names, made without arguments; importing it must be cheap (no torch)."""

    Params: type[BaseModel]

    def load(self, model: LocalModel | None, ctx: LoadContext) -> None:
        """Called once before anything else; None where plugin.toml names no task."""
        ...

    def cost(self, size: Size, params: Any) -> Cost:
        """What a picture of this size is expected to take."""
        ...

    def run(self, picture: Picture, params: Any, ctx: RunContext) -> Result | Guidance:
        """A restorer gives a Result, a guide a Guidance. Must give the same for the same picture, params and seed.

        A guide may have a parameter ``text``: what a person says the photo shows, to be answered instead of looking;
        and a static method ``vocabulary()`` with the tags it knows, which pages offer.
        """
        ...


def _take(value: Any, name: str, default: Any = None) -> Any:
    return value.get(name, default) if isinstance(value, Mapping) else getattr(value, name, default)


def as_result(value: Any) -> Result:
    """A Result from what a plugin returned: one alike, a dict, or the bare picture. Raises PluginError."""
    if isinstance(value, Result):
        return value
    if isinstance(value, np.ndarray):
        return Result(value)
    image = _take(value, "image")
    if not isinstance(image, np.ndarray):
        raise PluginError("A restorer must return a picture, or an object whose `image` is one (a NumPy array).")
    return Result(image, dict(_take(value, "layers") or {}), dict(_take(value, "info") or {}))


def as_cost(value: Any) -> Cost:
    """A Cost from what a plugin returned. Raises PluginError."""
    try:
        return Cost(
            float(_take(value, "seconds")), float(_take(value, "memory_mb")), int(_take(value, "tiles", 1) or 1)
        )
    except (TypeError, ValueError) as error:
        raise PluginError("A plugin's cost must have numbers named seconds, memory_mb and tiles.") from error


def as_guidance(value: Any) -> Guidance:
    """A Guidance from what a guide returned, or from JSON a person edited. Raises PluginError."""
    if isinstance(value, Guidance):
        return value
    try:
        tags = [
            Tag(tag) if isinstance(tag, str) else Tag(str(_take(tag, "name")), float(_take(tag, "score", 1.0)))
            for tag in _take(value, "tags") or []
        ]
        return Guidance(str(_take(value, "caption") or ""), tags, str(_take(value, "model") or ""))
    except (TypeError, ValueError) as error:
        raise PluginError("Guidance must have a caption (text) and tags, each with a name and a score.") from error
