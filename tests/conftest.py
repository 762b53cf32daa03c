"""Fixtures for all tests: photos that a dependency ships, a tiny pipeline, and no network."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.catalogs import model_entry

if TYPE_CHECKING:
    from models.catalog import Catalog

pytest_plugins = ["tests.plugins.packages"]
SLOW_FIXTURES = {
    "app_url",
    "closed_app",
    "browser",
    "launch",
    "finished_run",
    "two_processes",
}  # a launched app, a browser, processes, a training run
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):  # each has its share of the processors
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // workers)))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow the campaign and what uses one of `SLOW_FIXTURES`."""
    for item in items:
        used = set(item.fixturenames) if isinstance(item, pytest.Function) else set()
        if used & SLOW_FIXTURES or "campaign" in item.path.parts:
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Leave what has been imported out of garbage collections, of which a run of the host makes several."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small photos, 96 px: quarters of two of scikit-image's public-domain pictures."""
    from PIL import Image
    from skimage import data

    folder = tmp_path_factory.mktemp("photos")
    for name, picture in (("astronaut", data.astronaut()), ("coffee", data.coffee())):
        for row in range(2):
            for column in range(2):
                part = picture[row * 200 : row * 200 + 192, column * 220 : column * 220 + 256]
                Image.fromarray(part).resize((128, 96)).save(folder / f"{name}-{row}{column}.png")
    return folder


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved dereflection pipeline of the small kind with random weights that do change the photo."""
    import torch

    from models.dereflection.pipeline import DereflectionPipeline
    from models.dereflection.small import SmallDereflection
    from tests.weights import stir

    torch.manual_seed(0)
    network = SmallDereflection.tiny()
    stir(network, 0.02)
    return _saved(DereflectionPipeline(network.eval()), tmp_path_factory.mktemp("tiny-pipeline"))


@pytest.fixture(scope="session")
def tiny_deblur(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved deblurring pipeline of tiny size with random weights that do change the photo, and find a blur."""
    import torch

    from models.deblur.pipeline import DeblurPipeline
    from tests.components import make_tiny_deblur
    from tests.weights import stir

    torch.manual_seed(2)
    network = make_tiny_deblur(kernel=True)
    stir(network, 0.005)
    network.motion.coarse.bias.data[0] = 0.5  # horizontal, about 5 px
    network.prior.head.bias.data[:8] = 0.3  # a share of the deconvolved photo
    network.prior.head.bias.data[-8:] = 0.1  # and as one kernel undoes it
    return _saved(DeblurPipeline(network.eval()), tmp_path_factory.mktemp("tiny-deblur"))


@pytest.fixture(scope="session")
def tiny_semantics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved semantics pipeline of tiny size with random weights."""
    import torch

    from models.semantics.network import SemanticsNetwork
    from models.semantics.pipeline import SemanticsPipeline

    torch.manual_seed(0)
    network = SemanticsNetwork(width=0.125, features=16, size=32, detail_size=64, hidden=8)
    return _saved(SemanticsPipeline(network), tmp_path_factory.mktemp("tiny-semantics"))


def _saved(pipeline: Any, folder: Path) -> Path:
    from models.integrity import write_sums

    pipeline.save_pretrained(folder, dtype="float32")
    write_sums(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_catalog(tiny_pipeline: Path, tiny_deblur: Path, tiny_semantics: Path) -> Catalog:
    """A catalog with the tiny pipelines in the place of the embedded models."""
    from models.catalog import Catalog

    shown = {"name": "Tiny", "tier": "small", "summary": "For tests.", "quality.nothing.psnr": 12.5}
    entries = [
        model_entry("dereflection-small", "dereflection", tiny_pipeline, "embedded", default=True, **shown),
        model_entry("deblur-tiny", "deblur", tiny_deblur, "embedded"),
        model_entry("semantics-tiny", "semantics", tiny_semantics, "embedded"),
    ]
    listing = tiny_pipeline.parent / "catalog.toml"
    listing.write_text("".join(entries).replace('"none"', '"cc0-1.0"'))
    return Catalog.load(listing)


@pytest.fixture
def tiny_models(tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line in this process see the tiny pipelines, and be one process."""
    from models.catalog import Catalog

    monkeypatch.setattr(Catalog, "load", lambda path=None: tiny_catalog)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def pair_folder(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of made pairs: input/ is target/ under a veil."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("pairs")
    for side in ("input", "target"):
        (folder / side).mkdir()
    for file in sorted(photo_folder.iterdir()):
        pixels = np.asarray(Image.open(file))
        Image.fromarray(pixels).save(folder / "target" / file.name)
        Image.fromarray((pixels * 0.7 + 60).round().astype(np.uint8)).save(folder / "input" / file.name)
    return folder
