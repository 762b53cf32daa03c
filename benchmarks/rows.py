"""One subject of the table in a process of its own: one line of JSON for each size, as it is done.

The process is the measurement: on a CPU its peak memory is what is reported, and where memory runs out it ends alone.
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
from models.measure import synchronize
from models.runtime import peak_memory_mb, reset_peak, use_threads
from models.tiles import is_out_of_memory

EXPECTED_RATE_SHARE = 0.3  # of the matrix rate, for a first guess of how long a size will take
MAX_TIMED_RUNS, SINGLE_RUN_S = 5, 20.0  # timed calls; seconds from which on one is enough


def measure(subject: Subject, sizes: Sequence[dict[str, Any]], rate: float, limit: float) -> Iterator[dict[str, Any]]:
    """A result for each of ``sizes`` (width, height, operations, in growing order).

    Those that would take longer than ``limit`` seconds or more memory than there is are left out, with the reason.
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
            # What comes first pays for caches and compiling, so it counts only where one run is all there is time for.
            while times[0] < SINGLE_RUN_S and len(times) <= MAX_TIMED_RUNS:
                times.append(_timed(call, photo, subject.device))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            yield result | {"reason": f"out of memory ({str(error).splitlines()[0][:120]})"}
            return  # larger ones want more
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
    """How far the full tier's bfloat16 is from its float32 (dB), and xformers from SDPA (relative), same weights."""
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
    """MB that a process may still take on this machine; infinite where the system does not say."""
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
    """Have allocations fail before the machine runs out, which would end other programs."""
    free = available_memory()
    if free != float("inf"):
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (int(share * free * 1e6), most))


def main() -> None:
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
