"""The committed checkpoints load, and answer what they answered when they were published."""

import json

import numpy as np
import pytest

from tests.models.reference import FOLDER, RESTORERS, TAGGER, answers, digest, machine
from training.evaluation.metrics import psnr

pytestmark = pytest.mark.slow
KEPT = json.loads((FOLDER / "hashes.json").read_text())


def test_a_restorer_gives_the_same_pictures():
    for model in RESTORERS:
        found = answers(model)
        if machine() == KEPT["machine"]:
            assert digest(found) == KEPT["sha256"][model], model
        before = np.load(FOLDER / f"{model}.npz")["answers"]
        now = np.round(found.clip(0, 1) * 255).astype(np.uint8)
        assert min(psnr(a, b) for a, b in zip(now, before, strict=True)) >= 60 - 1e-9, model


def test_the_tagger_gives_the_same_scores():
    found = answers(TAGGER)
    if machine() == KEPT["machine"]:
        assert digest(found) == KEPT["sha256"][TAGGER]
    assert found == pytest.approx(np.load(FOLDER / f"{TAGGER}.npz")["answers"], abs=1e-3)
