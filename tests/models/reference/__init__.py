"""What the committed checkpoints answer to ten made pictures, so that a change of the code that changes them is seen.

``python -m tests.models.reference`` writes the answers anew, for a checkpoint that was published anew on purpose.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import torch

from models.hub import locate
from models.loading import pipeline_class
from models.semantics.pipeline import Semantics

FOLDER = Path(__file__).parent
RESTORERS = ("dereflection-small", "deblur-small")
TAGGER = "semantics-small"
COUNT, HEIGHT, WIDTH = 10, 96, 128


def pictures() -> list[np.ndarray]:
    """Ten pictures, float32 H x W x 3 in [0, 1]: smooth colours, and a few sharp rectangles."""
    made = []
    for seed in range(COUNT):
        rng = np.random.default_rng(seed)
        rows, columns = (np.linspace(0, 3, side) for side in (HEIGHT, WIDTH))
        waves = rng.uniform(-1, 1, (3, 4))
        phase = waves[:, :1, None] * rows[:, None] * 2 + waves[:, 1:2, None] * columns * 2 + waves[:, 2:3, None] * 3
        picture = (0.5 + 0.35 * np.sin(phase)).transpose(1, 2, 0)
        for _ in range(6):
            top, left = rng.integers(0, HEIGHT - 16), rng.integers(0, WIDTH - 16)
            picture[top : top + rng.integers(4, 16), left : left + rng.integers(4, 16)] = rng.uniform(0, 1, 3)
        made.append(np.round(picture * 255).astype(np.float32) / 255)
    return made


def machine() -> str:
    """What decides the last bits of a result: the processor (its facts as a hash) and the library."""
    info, facts = Path("/proc/cpuinfo"), platform.processor()
    if info.exists():
        first = info.read_text().split("\n\n")[0].splitlines()
        kept = ("cpu family", "model", "model name", "stepping", "flags")
        facts = "\n".join(line for line in first if line.split("\t")[0].strip() in kept)
    processor = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return f"processor {processor}, torch {torch.__version__}, {torch.get_num_threads()} threads"


def answers(model: str) -> np.ndarray:
    """What a model of the catalog answers: restored pictures, COUNT x H x W x 3, or scores, COUNT x scores;
    float32."""
    folder, _ = locate(model)
    pipeline = pipeline_class(folder).from_pretrained(folder)
    if model == TAGGER:
        return np.array([_scores(pipeline(picture)) for picture in pictures()], np.float32)
    return np.stack([pipeline(picture).image for picture in pictures()])


def _scores(seen: Semantics) -> list[float]:
    """The scores of words and tags by name, and of the diagnosis."""
    found = sorted((tag.name, tag.score) for tag in (*seen.words, *seen.tags))
    said = seen.diagnosis
    return [*(score for _, score in found), said.reflected, said.reflection, said.blur, *said.kinds.values()]


def digest(array: np.ndarray) -> str:
    """SHA-256 of the array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def write() -> None:
    """Write the answers of every model: hashes for this machine, and 8-bit pictures for others."""
    hashes = {}
    for model in (*RESTORERS, TAGGER):
        found = answers(model)
        hashes[model] = digest(found)
        kept = found if model == TAGGER else np.round(found.clip(0, 1) * 255).astype(np.uint8)
        np.savez_compressed(FOLDER / f"{model}.npz", answers=kept)
    (FOLDER / "hashes.json").write_text(json.dumps({"machine": machine(), "sha256": hashes}, indent=2) + "\n")
