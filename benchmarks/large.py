"""Time and peak memory for one large photo, measured in a process of its own.

    python -m benchmarks.large --photo big.jpg --model dereflection-small --through pipeline
    python -m benchmarks.large --photo big.jpg --model dereflection-small --through host

"pipeline" measures the pipeline on a decoded photo; "host" all that a user waits for, from file to restored file, with
loading of the model. Memory includes Python and all libraries. Prints one line of JSON.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from models.runtime import peak_memory_mb
from training.core.command import Command

ROOT = Path(__file__).resolve().parent.parent


def through_pipeline(photo: Path, model: str, dtype: str | None) -> float:
    """Return the seconds of the first call of a pipeline on the CPU. ``model``: id in the catalog, or a folder."""
    from training.data.photos import read_picture
    from training.evaluation.restorer import load_restorer

    return load_restorer(model, device="cpu", dtype=dtype)(read_picture(photo)).seconds


def through_host(photo: Path, model: str) -> float:
    """Return the seconds from file to restored PNG, with loading; the app chooses the precision."""
    from models.catalog import Catalog
    from plugins.host.run import Host
    from plugins.registry import Registry

    registry, task = Registry.discover(), Catalog.load().get(model).task
    step = next(loaded.manifest.id for loaded in registry.restorers() if loaded.manifest.task == task)
    host = Host(registry)
    with tempfile.TemporaryDirectory() as out:
        begin = time.perf_counter()
        host.restore(photo, [step], {}, {"model": model}, out_dir=out)
        return time.perf_counter() - begin


def measure_apart(photo: Path, model: str, through: str, dtype: str | None = None) -> dict[str, Any]:
    """Measure in a fresh process. Raises RuntimeError with the process's error output."""
    command = [sys.executable, "-m", "benchmarks.large", "--photo", str(photo.resolve()), "--model", model]
    command += ["--through", through] + (["--dtype", dtype] if dtype else [])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"Measuring through the {through} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process, whose peak memory counts from its start."""
    parser = Command(__doc__)
    parser.add_argument("--photo", required=True, type=Path)
    parser.add_argument("--model", required=True, help="id in the catalog, or (pipeline only) a folder")
    parser.add_argument("--through", choices=("host", "pipeline"), default="pipeline")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the pipeline (default: as the app)")
    given = parser.parse_args(arguments)
    if given.through == "host" and given.dtype:
        parser.error("--dtype is for --through pipeline: the app chooses its precision itself.")
    with parser.reporting(), Image.open(given.photo) as picture:
        width, height = picture.size
        if given.through == "host":
            seconds = through_host(given.photo, given.model)
        else:
            seconds = through_pipeline(given.photo, given.model, given.dtype)
    result = {"through": given.through, "width": width, "height": height, "megapixels": width * height / 1e6}
    print(json.dumps(result | {"seconds": seconds, "peak_memory_mb": peak_memory_mb("cpu")}))


if __name__ == "__main__":
    main()
