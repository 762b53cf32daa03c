"""Fixtures for all tests: photos that a dependency ships, a tiny pipeline, and no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


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

    torch.manual_seed(0)
    network = SmallDereflection.tiny()
    for parameter in network.parameters():
        if not parameter.any():  # what starts at zero would leave the photo as it is
            torch.nn.init.normal_(parameter, std=0.02)
    folder = tmp_path_factory.mktemp("tiny-pipeline")
    DereflectionPipeline(network.eval()).save_pretrained(folder, dtype="float32")
    return folder


@pytest.fixture(scope="session")
def tiny_deblur(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved deblurring pipeline of tiny size with random weights that do change the photo, and find a blur."""
    import torch

    from models.deblur.pipeline import DeblurPipeline
    from tests.components import make_tiny_deblur

    torch.manual_seed(0)
    network = make_tiny_deblur()
    network.grow("kernel")
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.005)
    network.motion.coarse.bias.data[0] = 0.5  # horizontal, about 5 px
    network.prior.head.bias.data[:8] = 0.3  # a share of the deconvolved photo
    network.prior.head.bias.data[-8:] = 0.1  # and as one kernel undoes it
    folder = tmp_path_factory.mktemp("tiny-deblur")
    DeblurPipeline(network.eval()).save_pretrained(folder, dtype="float32")
    return folder


@pytest.fixture(scope="session")
def tiny_semantics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved semantics pipeline of tiny size with random weights."""
    import torch

    from models.semantics.network import TagNetwork
    from models.semantics.pipeline import SemanticsPipeline

    torch.manual_seed(0)
    network = TagNetwork(sizes=(32, 16), axes=4, gaussians=4)
    torch.nn.init.normal_(network.head.weight, std=0.02)
    folder = tmp_path_factory.mktemp("tiny-semantics")
    SemanticsPipeline(network).save_pretrained(folder, dtype="float32")
    return folder


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
