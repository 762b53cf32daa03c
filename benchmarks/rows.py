"""Measurement of one subject of the table, in a process of its own: prints a line of JSON for each size.

On a CPU the peak memory of the process is reported, and running out of memory ends this process only.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speed import sample_photo
from benchmarks.subjects import Subject, build, call_of, pipeline_of
from models.runtime import peak_memory_mb, reset_peak, synchronize, use_threads
from models.tiles import is_out_of_memory

EXPECTED_RATE_SHARE = 0.3  # of the matrix rate, to estimate the time of the first size
MAX_TIMED_RUNS = 5
SINGLE_RUN_S = 20.0  # a call that takes longer is timed once


def measure(subject: Subject, sizes: Sequence[dict[str, Any]], rate: float, limit: float) -> Iterator[dict[str, Any]]:
    """Yield a result for each of ``sizes`` (dicts of width, height, operations, in ascending order).

    A size that would take longer than ``limit`` seconds gets a reason instead; the first that needs too much memory
    ends the results. ``rate``: FLOP/s of matrix products.
    """
    call = call_of(subject, build(subject))
    speed = rate * EXPECTED_RATE_SHARE
    for size in sizes:
        result = {"width": size["width"], "height": size["height"], "operations": size["operations"]}
        expected = size["operations"] / speed
        if expected > limit:
            yield result | {"reason": f"would take about {expected:.0f} s a photo (limit {limit:.0f} s)"}
            continue
        photo = sample_photo(size["width"], size["height"]).astype(np.float32) / np.float32(255)
        try:
            reset_peak(subject.device)
            times = [_timed(call, photo, subject.device)]
            # The first call includes caching and compiling, so it counts only if it is the only one.
            while times[0] < SINGLE_RUN_S and len(times) <= MAX_TIMED_RUNS:
                times.append(_timed(call, photo, subject.device))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            yield result | {"reason": f"out of memory ({str(error).splitlines()[0][:120]})"}
            return  # larger sizes need more
        taken = times[1:] or times
        speed = size["operations"] / statistics.median(taken)
        yield result | {
            "seconds": statistics.median(taken),
            "least": min(taken),
            "runs": len(taken),
            "peak_memory_mb": peak_memory_mb(subject.device),
            "rate_share": speed / rate,
        }


def agreement(subject: Subject, side: int = 512) -> dict[str, Any]:
    """Compare the full tier in bfloat16 to float32 (PSNR) and xformers to SDPA (relative error), with equal weights."""
    photo = sample_photo(side, side).astype(np.float32) / np.float32(255)
    network = build(Subject("full", "float32", device=subject.device, tiny=subject.tiny))
    wanted = pipeline_of(Subject("full", device=subject.device), network)(photo).image
    found: dict[str, Any] = {"side": side}
    try:
        other = pipeline_of(Subject("full", attention="xformers", device=subject.device), network)(photo).image
        found["xformers_relative_error"] = float(np.linalg.norm(other - wanted) / np.linalg.norm(wanted))
    except (ImportError, NotImplementedError, RuntimeError) as error:
        found["xformers"] = f"does not run here ({type(error).__name__})"
    half = pipeline_of(Subject("full", device=subject.device), network.to(torch.bfloat16))(photo).image
    found["bfloat16_psnr_db"] = float(-10 * np.log10(np.mean((half.astype(float) - wanted) ** 2) + 1e-12))
    return found


def _timed(call: Any, photo: np.ndarray, device: str) -> float:
    synchronize(device)
    begin = time.perf_counter()
    call(photo)
    synchronize(device)
    return time.perf_counter() - begin


def available_memory() -> float:
    """Return the memory in MB that a process can still allocate; infinity where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("MemAvailable:"))
        limit = Path("/sys/fs/cgroup/memory.max")
        if limit.is_file() and limit.read_text().strip() != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text())
            free = min(free, (int(limit.read_text()) - used) / 1e6)
    except (OSError, StopIteration, ValueError):
        return float("inf")
    return free


def hold_memory(share: float = 0.85) -> None:
    """Limit the memory of this process to ``share`` of what is available, so that other programs are not killed."""
    free = available_memory()
    if free != float("inf"):
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (int(share * free * 1e6), most))


def main() -> None:
    """Measure what the JSON in the first argument asks for."""
    given = json.loads(sys.argv[1])
    subject = Subject(**given["subject"])
    use_threads()
    if subject.device == "cpu":
        hold_memory()
    if given.get("agreement"):
        print(json.dumps(agreement(subject, given["side"])), flush=True)
        return
    for result in measure(subject, given["sizes"], given["rate"], given["limit"]):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
