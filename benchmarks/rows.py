"""Measurement of one subject of the table, in a process of its own: prints a line of JSON for each size.

On a CPU the peak memory of the process is reported, and running out of memory ends this process only.
"""

import json
import resource
import statistics
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.speed import sample_photo
from benchmarks.subjects import Subject, build, call_of
from models.runtime import peak_memory_mb, reset_peak, seconds, use_threads
from models.tiles import is_out_of_memory
from training.evaluation.protocol import as_float

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
        photo = as_float(sample_photo(size["width"], size["height"]))
        try:
            reset_peak(subject.device)
            times = [seconds(partial(call, photo), subject.device, runs=1, warmup=0)]
            # The first call includes caching, so it counts only if it is the only one.
            while times[0] < SINGLE_RUN_S and len(times) <= MAX_TIMED_RUNS:
                times.append(seconds(partial(call, photo), subject.device, runs=1, warmup=0))
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


def available_memory() -> float:
    """Return the memory in MB that a process can still allocate, within the limit of its control group."""
    free = psutil.virtual_memory().available / 1e6
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        free = min(free, (int(most) - int(limit.with_name("memory.current").read_text())) / 1e6)
    return free


def hold_memory(share: float = 0.85) -> None:
    """Limit the memory of this process to ``share`` of what is available, so that other programs are not killed."""
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (int(share * available_memory() * 1e6), most))


def main() -> None:
    """Measure what the JSON in the first argument asks for."""
    given = json.loads(sys.argv[1])
    subject = Subject(**given["subject"])
    use_threads()
    if subject.device == "cpu":
        hold_memory()
    for result in measure(subject, given["sizes"], given["rate"], given["limit"]):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
