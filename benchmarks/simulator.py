"""Throughput of the glass simulator in pairs a second: ``python -m benchmarks.simulator --photos FOLDER``.

It covers all that a training step waits for: random parameters, crops of photos in memory, simulation in batches.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from models.runtime import cpu_name, use_threads
from training.tasks.dereflection.config import DataConfig
from training.tasks.dereflection.dataset import Reflections


def pairs_per_second(photos: Path, size: int = 256, batch: int = 8, seconds: float = 10.0) -> float:
    """Return the pairs simulated a second at ``size`` px, after one batch to warm up."""
    data = Reflections(DataConfig(root=photos, clean=["."], store_side=size, limit=64), 0)
    data.batch(range(batch), size)
    done, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        data.batch(range(done + batch, done + 2 * batch), size)
        done += batch
    return done / passed


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of sharp photos")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(arguments)
    threads = use_threads()
    rate = pairs_per_second(options.photos, options.size, options.batch, options.seconds)
    shown = {"pairs_per_second": round(rate, 1), "size": options.size, "batch": options.batch}
    print(json.dumps(shown | {"cpu": cpu_name(), "threads": threads}))


if __name__ == "__main__":
    main()
