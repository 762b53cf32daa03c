"""The performance table of this machine's CPU.

    python -m benchmarks.speed --model dereflection-small --out speed.json

* 512x512, warm: the dereflection pipeline and NAFNet width 32 (random weights), alternately in one process, in the same
  precision and memory format (channels_last), NumPy to NumPy.
* a 12-megapixel photo in fresh processes: seconds and peak resident memory (see `benchmarks.large`).
* the app: from process start to an answer of the page.
* guidance: the guide on a small and a 12-megapixel photo, and a guided restorer with and without tags.

Nothing else should run meanwhile; the load at the start is printed with the table.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image

from benchmarks.large import ROOT, measure_apart
from benchmarks.subjects import Call, Subject, build, call_of
from models.runtime import cpu_name
from training.core.command import Command
from training.evaluation.protocol import as_float
from training.evaluation.restorer import load_restorer
from training.evaluation.tables import table as format_table

PARTS = ("512", "12mp", "start", "guide")
TARGETS = {
    "512": "at most 0.8 s, and not above NAFNet",
    "12mp": "at most 15 s and 3072 MB",
    "start": "at most 10 s",
    "guide": "together at most 0.2 s",
}
GUIDE_MODEL = "semantics-small"


def side_by_side(
    calls: Mapping[str, Callable[[np.ndarray], Any]], photo: np.ndarray, runs: int = 9, warmup: int = 2
) -> dict[str, list[float]]:
    """Return the seconds of each call on a photo, measured alternately so that other load affects all alike."""
    for _ in range(warmup):
        for call in calls.values():
            call(photo)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            begin = time.perf_counter()
            call(photo)
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def nafnet_call(dtype: str, tiny: bool = False) -> Call:
    """Return NAFNet with random weights as a function of float32 H x W x 3 arrays, as pipelines are."""
    subject = Subject("nafnet", dtype, tiny=tiny)
    return call_of(subject, build(subject))


def sample_photo(width: int, height: int) -> np.ndarray:
    """Return a public-domain photo of scikit-image, resized: uint8 H x W x 3."""
    from skimage import data

    picture = Image.fromarray(data.astronaut())
    return np.array(picture.resize((width, height), Image.Resampling.BICUBIC))


def measure_small(model: str, dtype: str | None, runs: int) -> dict[str, Any]:
    """Measure the row for 512x512."""
    restorer = load_restorer(model, device="cpu", dtype=dtype)
    precision = restorer.identity["dtype"]
    photo = as_float(sample_photo(512, 512))
    seconds = side_by_side({"pipeline": restorer.pipeline, "nafnet": nafnet_call(precision)}, photo, runs)
    result: dict[str, Any] = {"dtype": precision, "threads": torch.get_num_threads(), "runs": runs}
    for name, values in seconds.items():
        result[name] = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return result


def measure_large(model: str, dtype: str | None) -> list[dict[str, Any]]:
    """Measure the rows for 12 megapixels; through the host only for a catalog model in the app's precision."""
    ways = ["pipeline"] + (["host"] if dtype is None and not Path(model).is_dir() else [])
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        Image.fromarray(sample_photo(4000, 3000)).save(photo, quality=92)
        return [measure_apart(photo, model, way, dtype) for way in ways]


def measure_guide(model: str, dtype: str | None, runs: int) -> dict[str, Any]:
    """Return median seconds of the guide, warm, by photo size, and what tags add to a guided restorer at 512x512."""
    from models import hub
    from models.semantics.pipeline import SemanticsPipeline

    guide = SemanticsPipeline.from_pretrained(hub.locate(GUIDE_MODEL)[0])
    result: dict[str, Any] = {"guide": GUIDE_MODEL, "seconds": {}}
    small, large = (as_float(sample_photo(*size)) for size in ((512, 512), (4000, 3000)))
    for photo in (small, large):
        size = f"{photo.shape[1]}x{photo.shape[0]}"
        result["seconds"][size] = statistics.median(side_by_side({"guide": guide}, photo, runs)["guide"])
    pipeline: Any = load_restorer(model, device="cpu", dtype=dtype).pipeline
    if getattr(pipeline.network, "guide", None) is not None:
        tags = {pipeline.network.guide.names[0]: 1.0}
        seconds = side_by_side({"with": lambda p: pipeline(p, tags=tags), "without": pipeline}, small, runs)
        result["added"] = statistics.median(a - b for a, b in zip(seconds["with"], seconds["without"], strict=True))
    return result


def start_seconds(command: Sequence[str], url: str, port: int, timeout: float = 120.0) -> float:
    """Start ``command`` with GRADIO_SERVER_PORT set, request ``url`` until it answers 200, and stop the process.

    Raises RuntimeError with the last output of the process if it ends first or after ``timeout`` seconds.
    """
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            why = f"{url} did not answer within {timeout:.0f} s"
            while time.perf_counter() - begin < timeout:
                if _answers(url):
                    return time.perf_counter() - begin
                if process.poll() is not None:
                    why = f"The server ended with code {process.returncode}"
                    break
                time.sleep(0.05)
            log.seek(0)
            raise RuntimeError(f"{why}:\n{log.read().decode(errors='replace')[-2000:]}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def app_start_seconds() -> float:
    """Return the seconds from start to answer of the app, on a free port."""
    port = free_port()
    return start_seconds([sys.executable, "app.py"], f"http://127.0.0.1:{port}/", port)


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200  # a proxy would not reach this machine
    except httpx.HTTPError:
        return False


def machine() -> dict[str, Any]:
    """Return CPU, number of CPUs and load of this machine."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu_name(), "cpus": cpus, "load": round(os.getloadavg()[0], 2)}


def table(results: dict[str, Any]) -> str:
    """Format the results as a Markdown table."""
    where = results["machine"]
    lines = [f"{results['model']} on {where['cpu']}, {where['cpus']} CPUs, load {where['load']} at the start.", ""]
    rows = []
    if small := results.get("512"):
        ours, theirs = small["pipeline"], small["nafnet"]
        what = f"512x512, warm, {small['dtype']}, {small['threads']} threads, median of {small['runs']}"
        times = f"{ours['median']:.3f} s (least {ours['least']:.3f}); NAFNet-32 {theirs['median']:.3f} s"
        rows.append((what, f"{times} (least {theirs['least']:.3f})", TARGETS["512"]))
    for large in results.get("12mp", []):
        what = f"{large['megapixels']:.0f} megapixels through the {large['through']}, fresh process"
        rows.append((what, f"{large['seconds']:.1f} s, {large['peak_memory_mb']:.0f} MB", TARGETS["12mp"]))
    if "start" in results:
        seconds = ", ".join(f"{value:.1f}" for value in results["start"])
        rows.append(("process start to page answering", f"{seconds} s", TARGETS["start"]))
    if found := results.get("guide"):
        seconds = ", ".join(f"{value:.3f} s at {size}" for size, value in found["seconds"].items())
        added = f"; tags add {found['added']:.3f} s to the restorer at 512x512" if "added" in found else ""
        rows.append((f"{found['guide']}, warm", seconds + added, TARGETS["guide"]))
    return "\n".join([*lines, *format_table(("what", "measured", "bar"), rows)]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Command(__doc__)
    parser.add_argument("--model", default="dereflection-small", help="id in the catalog, or a folder")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="by default what the app would choose")
    parser.add_argument("--runs", type=int, default=9, help="timed calls at 512x512")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument("--out", type=Path, help="also write the numbers as JSON")
    given = parser.parse_args(arguments)
    results: dict[str, Any] = {"machine": machine(), "model": Path(given.model).name}
    if "start" in given.only:
        results["start"] = [app_start_seconds() for _ in range(2)]  # the first may read from disk
    if "12mp" in given.only:
        results["12mp"] = measure_large(given.model, given.dtype)
    if "512" in given.only:
        results["512"] = measure_small(given.model, given.dtype, given.runs)
    if "guide" in given.only:
        results["guide"] = measure_guide(given.model, given.dtype, given.runs)
    print(table(results))
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
