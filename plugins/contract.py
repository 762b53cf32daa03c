"""The plugin contract: what a plugin must provide, and the values it exchanges with the host.

A plugin matches :class:`Plugin` by structure and need not import this project: it may return the classes below, any
object with the same attributes (``types.SimpleNamespace``), or a dict with the same keys.
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
"""Version of this contract; ``api`` in plugin.toml must be equal to it."""


class PluginError(LimpidError):
    """A plugin cannot be loaded or used, or failed on a picture."""


class Cancelled(LimpidError):  # noqa: N818
    """The run was cancelled."""

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message)


class Tiling(BaseModel):
    """How the host hands a picture to a plugin: whole or in tiles."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["whole", "tiled", "internal"] = "whole"
    """whole: the picture at once; tiled: the host cuts tiles and blends them; internal: the plugin tiles by itself."""
    multiple: int = Field(default=1, ge=1, le=256)
    """The host pads width and height to multiples of this and crops the result (not in mode "internal")."""
    size: int = Field(default=512, ge=16)
    """Side of a tile in pixels (mode "tiled")."""
    overlap: int = Field(default=64, ge=0)
    """Width in pixels of the strip that neighbouring tiles share, where they are blended (mode "tiled")."""

    @model_validator(mode="after")
    def _tiles_hold_something(self) -> Tiling:
        if self.size < 2 * self.multiple or self.size <= 2 * self.overlap:
            raise ValueError("a tile's size must be at least twice its multiple, and more than twice its overlap")
        return self


class Manifest(BaseModel):
    """The contents of plugin.toml. An unknown key is an error, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api: int
    id: str = Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")
    """Also the name of its API endpoint and of its step on the command line."""
    kind: Literal["restore", "guide"]
    name: str = Field(min_length=1, max_length=60)
    summary: str = Field(min_length=1, max_length=400)
    entry: str = ""
    """"module:Class" beside plugin.toml. An installed package names it in its entry point instead."""
    order: int = 100
    """Position in lists, ascending."""
    guidance: tuple[Literal["caption", "tags"], ...] = ()
    """Kinds of guidance that a restorer accepts or a guide provides."""
    task: str = ""
    """Task in the model catalog whose models it loads. Empty: it has no model, and ``load`` gets None."""
    precisions: tuple[Literal["float32", "bfloat16", "float16"], ...] = ("float32",)
    """Precisions it supports; the first is used where the machine's own choice is not among them."""
    tiling: Tiling = Tiling()


@dataclass(frozen=True)
class Size:
    """Width and height of the upright picture, in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """A picture as plugins get it.

    ``pixels``: float32 H x W x 3, sRGB in [0, 1]. ``mask``: float32 H x W in [0, 1], 1 where the picture is to be
    restored, or None.
    """

    pixels: np.ndarray
    mask: np.ndarray | None = None

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.pixels.shape[1], self.pixels.shape[0])


@dataclass(frozen=True)
class Cost:
    """Expected cost of a run: seconds, working memory in MiB, number of tiles."""

    seconds: float
    memory_mb: float
    tiles: int = 1


@dataclass(frozen=True)
class Result:
    """A restorer's result: ``layers`` are further pictures by name, ``info`` JSON values for the run record."""

    image: np.ndarray
    layers: dict[str, np.ndarray] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tag:
    """A thing or place that a photo shows, with a score in [0, 1]."""

    name: str
    score: float = 1.0
    broader: str = ""
    """The coarser tag that this one belongs to, or ""."""


@dataclass(frozen=True)
class Guidance:
    """What a photo shows, as words (not as the tokens of a model), and what is wrong with it.

    ``model``: id of the model that found it. ``diagnosis``: by fault ("reflection", "blur") JSON values, among them
    ``likelihood`` and ``strength`` in [0, 1], and ``found``, whether the photo is said to have it; empty for none made.
    """

    caption: str = ""
    tags: list[Tag] = field(default_factory=list)
    model: str = ""
    diagnosis: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, scores rounded to 4 decimals."""
        tags = [
            {"name": tag.name, "score": round(float(tag.score), 4), **({"broader": tag.broader} if tag.broader else {})}
            for tag in self.tags
        ]
        return {"caption": self.caption, "tags": tags, "model": self.model, "diagnosis": self.diagnosis or None}


class Progress:
    """Reports the progress of a run and stops it once it is cancelled.

    Args:
        report: called with a fraction in [0, 1] and a message.
        cancelled: called by every ``check`` and ``update``; true once the run is to stop. An event will do.
        span: the part of [0, 1] that this progress covers.
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
        """Raise Cancelled if the run was cancelled. Call it between pieces of work."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    def update(self, fraction: float, message: str = "") -> None:
        """Report ``fraction`` (0 to 1) of this part as done; raise Cancelled as ``check`` does."""
        self.check()
        if self._report is not None:
            start, end = self._span
            self._report(start + (end - start) * min(max(fraction, 0.0), 1.0), message)

    def part(self, start: float, end: float) -> Progress:
        """Return a progress whose 0 to 1 is ``start`` to ``end`` of this one."""
        low, high = self._span
        return Progress(self._report, self._cancelled, (low + (high - low) * start, low + (high - low) * end))

    def silent(self) -> Progress:
        """Return a progress that reports nothing and can still be cancelled."""
        return Progress(None, self._cancelled)


@dataclass(frozen=True)
class LoadContext:
    """What ``Plugin.load`` is given: ``runtime.device``, ``runtime.dtype`` and ``runtime.attention``."""

    runtime: Runtime


@dataclass(frozen=True)
class RunContext:
    """What ``Plugin.run`` is given beside picture and Params. Sentences appended to ``notes`` go to the run record."""

    seed: int = 0
    guidance: Guidance | None = None
    progress: Progress = field(default_factory=Progress)
    notes: list[str] = field(default_factory=list)


@runtime_checkable
class Plugin(Protocol):
    """The interface of a class made without arguments; its module imports torch inside of ``load`` and ``run``."""

    Params: type[BaseModel]

    def load(self, model: LocalModel | None, ctx: LoadContext) -> None:
        """Load the model; called once, first. ``model`` is None where plugin.toml names no task."""
        ...

    def cost(self, size: Size, params: Any) -> Cost:
        """Estimate the cost of a picture of this size."""
        ...

    def run(self, picture: Picture, params: Any, ctx: RunContext) -> Result | Guidance:
        """Return a Result (a restorer) or a Guidance (a guide); the same for the same picture, params and seed.

        A guide may have a parameter ``text``, a description by a person, from which it then takes the guidance in
        place of the picture; and a static method ``vocabulary()``, the tags it knows, which the page offers.

        A restorer may have a method ``examine(picture, ctx)``: JSON values as of ``Guidance.diagnosis`` on the fault
        that it removes, or None. The automatic choice of steps trusts them more than the guide's.
        """
        ...


def _take(value: Any, name: str, default: Any = None) -> Any:
    return value.get(name, default) if isinstance(value, Mapping) else getattr(value, name, default)


def as_result(value: Any) -> Result:
    """Convert a restorer's return value (a Result, an object or dict like it, or an array). Raises PluginError."""
    image = value if isinstance(value, np.ndarray) else _take(value, "image")
    if not isinstance(image, np.ndarray):
        raise PluginError("A restorer must return a picture, or an object whose `image` is one (a NumPy array).")
    return Result(image, dict(_take(value, "layers") or {}), dict(_take(value, "info") or {}))


def as_cost(value: Any) -> Cost:
    """Convert the return value of a plugin's ``cost``. Raises PluginError."""
    try:
        numbers = float(_take(value, "seconds")), float(_take(value, "memory_mb"))
        return Cost(*numbers, int(_take(value, "tiles", 1) or 1))
    except (TypeError, ValueError) as error:
        raise PluginError("A plugin's cost must have numbers named seconds, memory_mb and tiles.") from error


def as_guidance(value: Any) -> Guidance:
    """Convert a guide's return value, or edited JSON. Raises PluginError."""
    try:
        tags = [
            Tag(tag)
            if isinstance(tag, str)
            else Tag(str(_take(tag, "name")), float(_take(tag, "score", 1.0)), str(_take(tag, "broader") or ""))
            for tag in _take(value, "tags") or []
        ]
        caption, model = str(_take(value, "caption") or ""), str(_take(value, "model") or "")
        return Guidance(caption, tags, model, dict(_take(value, "diagnosis") or {}))
    except (TypeError, ValueError) as error:
        raise PluginError("Guidance must have a caption (text) and tags, each with a name and a score.") from error
