"""Small plugins, pictures and profiles for the tests of the host."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from PIL import Image, PngImagePlugin
from pydantic import BaseModel, Field

from plugins.contract import Cost, Guidance, Manifest, Picture, Result, RunContext, Size, Tag
from plugins.host import pictures
from plugins.options import Format, KeepMetadata
from plugins.registry import Loaded, Registry


class FakePipeline:
    """Stands for either task's: two tiles, a darker picture, and layers known beforehand."""

    def __call__(self, photo: np.ndarray, *, detail: float = 1.0, progress: Any = None, **more: Any) -> Any:
        self.options = more
        for done in range(3):
            progress(done, 2)
        cells = np.zeros((-(-photo.shape[0] // 8), -(-photo.shape[1] // 8), 3), np.float32)
        layers = {"reflection": photo * 0.1, "prerestored": photo * 0.5, "cells": cells}
        said = {"plan": {"tiles": 2}, "notes": ["note"], "info": {"detail": detail}}
        return SimpleNamespace(image=photo * 0.9, kernel=None, **layers, **said)

    def cost(self, height: int, width: int, **more: Any) -> dict[str, float]:
        return {"seconds": height * width / 1e6, "memory_mb": 100.0, "tiles": 4.0}


def with_fake_pipeline(plugin: type) -> Any:
    """A built-in restorer as it is after `load`."""
    made = plugin()
    made._pipeline = FakePipeline()
    return made


class Darken:
    """A restorer: halves every value, says what it took away."""

    class Params(BaseModel):
        factor: float = Field(0.5, ge=0.0, le=1.0)
        layer: bool = True
        times: int = Field(1, ge=1, le=4)
        tone: Literal["plain", "warm"] = "plain"

    loads = 0

    def load(self, model: Any, ctx: Any) -> None:
        type(self).loads += 1

    def cost(self, size: Size, params: Any) -> Cost:
        return Cost(size.width * size.height / 1e6, 10.0, 1)

    def run(self, picture: Picture, params: Any, ctx: RunContext) -> Any:
        ctx.progress.update(0.5, "half")
        image = picture.pixels * np.float32(params.factor) ** params.times
        layers = {"removed": picture.pixels - image} if params.layer else {}
        return Result(image, layers, {"plan": {"tiles": 1}, "notes": ["darkened"]})


class Seen(Darken):
    """Records what it was given."""

    given: list[tuple[Picture, RunContext]] = []

    def run(self, picture: Picture, params: Any, ctx: RunContext) -> Any:
        self.given.append((picture, ctx))
        return {"image": picture.pixels}


class Looker:
    """A guide."""

    class Params(BaseModel):
        most: int = Field(3, ge=1, le=9)

    def load(self, model: Any, ctx: Any) -> None: ...

    def cost(self, size: Size, params: Any) -> Cost:
        return Cost(0.1, 1.0)

    def run(self, picture: Picture, params: Any, ctx: RunContext) -> Any:
        return Guidance("a wall", [Tag("wall", 0.9), Tag("street", 0.4)][: params.most], "looker-1")


def loaded(plugin: type, id: str, kind: str = "restore", **more: Any) -> Loaded:
    manifest = Manifest.model_validate(
        {"api": 1, "id": id, "kind": kind, "name": id.capitalize(), "summary": f"{id}.", **more}
    )
    return Loaded(manifest, plugin, plugin.Params, "test")  # type: ignore[attr-defined]


def registry(*plugins: Loaded) -> Registry:
    return Registry({one.manifest.id: one for one in plugins})


def noise(height: int, width: int, channels: int = 3, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width, channels), endpoint=True)
    return values.astype(dtype)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels).save(path, **options)
    return path


def png16(path: Path, pixels: np.ndarray) -> Path:
    """A 16-bit PNG without filters, by the format's own words (not by the code under test)."""
    import zlib

    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            PngImagePlugin.putchunk(file, kind, data)
    return path


P3 = ((0.515102, 0.241182, -0.001050), (0.291965, 0.692236, 0.041882), (0.157153, 0.066582, 0.784378))
"""Display P3's primaries in XYZ, adapted to D50 (the columns of its matrix)."""


def profile(gamma: float | None = 2.2, gray: bool = False) -> bytes:
    """An ICC profile (version 4) with Display P3's primaries; gamma None: sRGB's curve."""
    if gamma is None:
        numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        curve = b"para\0\0\0\0\0\x03\0\0" + b"".join(_fixed(value) for value in numbers)
    else:
        curve = b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)
    tags = {b"wtpt": _xyz((0.9642, 1.0, 0.8249)), b"desc": _text("test"), b"cprt": _text("none")}
    if gray:
        tags[b"kTRC"] = curve
    else:
        tags |= {name: _xyz(value) for name, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), P3, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data = b"", b""
    start = 132 + 12 * len(tags)
    for name, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += struct.pack(">4sII", name, start + len(data), len(value))
        data += value
    size = start + len(data)
    space = b"GRAY" if gray else b"RGB "
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x04300000, b"mntr", space, b"XYZ ", b"acsp")
    header = header.ljust(68, b"\0") + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(value) for value in values)


def _text(words: str) -> bytes:
    text = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text


def write(
    pixels: np.ndarray,
    source: pictures.Source,
    folder: Path,
    format: Format = "png",
    keep: KeepMetadata = "none",
    notes: list[str] | None = None,
) -> Path:
    """The photo with these pixels, composed and written."""
    return pictures.write(pictures.compose(source, pixels), source, folder, format, keep, notes)
