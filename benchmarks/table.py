"""The performance table of this machine, written to benchmarks/results.

    python -m benchmarks.table                     every row that this machine can run
    python -m benchmarks.table --limit 600         with a limit of 600 s for a photo

Each network runs in a process of its own, one after the other, on the same photos. For what a machine cannot run the
table gives the reason. Weights are random. `python -m benchmarks.speed` measures the app (start, file to file).
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import machine
from benchmarks.subjects import Subject, operations
from models.runtime import seconds
from training.core.command import Command
from training.evaluation.tables import table as format_table

ROOT = Path(__file__).resolve().parent.parent
RESULTS_FOLDER = ROOT / "benchmarks" / "results"
SIZES_PX = {"512": (512, 512), "768": (768, 768), "1024": (1024, 1024), "2048": (2048, 2048), "12mp": (4000, 3000)}
BUILD_GRACE_S = 300.0  # for building a network, in addition to the limit


def subjects(device: str, tiny: bool = False) -> list[Subject]:
    """Return the rows of a device."""
    both = ("float32", "bfloat16")
    if device == "cpu":
        names = ("nafnet", "small", "reference", "full")
        return [Subject(name, dtype, device=device, tiny=tiny) for name in names for dtype in both]
    return [
        *[Subject("reference", dtype, device=device, tiny=tiny) for dtype in both],
        Subject("full", "float32", device=device, tiny=tiny),
        *[Subject("full", "bfloat16", way, device=device, tiny=tiny) for way in ("sdpa", "xformers")],
        *[Subject("small", dtype, device=device, tiny=tiny) for dtype in both],
    ]


def matrix_rate(device: str, dtype: torch.dtype, size: int | None = None) -> float:
    """Return the FLOP/s of the product of two square matrices, the best of three measurements.

    ``size`` defaults to 8192 on a GPU and 2048 on a CPU.
    """
    size = size or (2048 if device == "cpu" else 8192)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: a @ b, device, runs=3, warmup=1) for _ in range(3))


def run(subject: Subject, sizes: dict[str, tuple[int, int]], rate: float, limit: float) -> dict[str, dict[str, Any]]:
    """Measure a subject in a fresh process; return a result, or the reason for none, by name of the size."""
    asked = [{"width": w, "height": h, "operations": operations(subject, w, h)} for w, h in sizes.values()]
    work = json.dumps({"subject": asdict(subject), "sizes": asked, "rate": rate, "limit": limit})
    command = [sys.executable, "-m", "benchmarks.rows", work]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=BUILD_GRACE_S + 7 * limit * len(sizes))
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
    results = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    last = (err.strip().splitlines() or ["no reason was given"])[-1][:160]
    why = "the process ended (" + last + ")" if process.returncode else "smaller ones ran out of memory"
    missing = [asked[n] | {"reason": why} for n in range(len(results), len(asked))]
    return dict(zip(sizes, results + missing, strict=True))


def measure(devices: Sequence[str], sizes: dict[str, tuple[int, int]], limit: float, tiny: bool) -> dict[str, Any]:
    """Measure the whole table."""
    results: dict[str, Any] = {"machine": machine() | devices_here(), "limit": limit, "rates": {}, "rows": []}
    for device in devices:
        there = device == "cpu" or torch.cuda.is_available()
        for subject in subjects(device, tiny):
            row: dict[str, Any] = {"subject": asdict(subject), "title": subject.title}
            if there:
                key = f"{device} {subject.dtype}"
                if key not in results["rates"]:
                    small = 256 if tiny else None
                    results["rates"][key] = matrix_rate(device, getattr(torch, subject.dtype), small)
                row["sizes"] = run(subject, sizes, results["rates"][key], limit)
            else:
                row["sizes"] = {name: {"reason": "there is no GPU here"} for name in sizes}
            results["rows"].append(row)
            print(f"{row['title']}, {subject.dtype}, {subject.attention}: done", file=sys.stderr, flush=True)
    results["machine"]["load_at_the_end"] = machine()["load"]
    return results


def devices_here() -> dict[str, Any]:
    """Return the GPU's name or None, torch's version and its number of threads."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"gpu": gpu, "torch": torch.__version__, "threads": torch.get_num_threads()}


def table(results: dict[str, Any]) -> str:
    """Format the results in Markdown: a row for every network, precision, attention and size; then comparisons."""
    where = results["machine"]
    name = where["gpu"] or "no GPU"
    lines = [f"{where['cpu']}, {where['cpus']} CPUs (load {where['load']} at the start), {name}.", ""]
    for key, rate in results["rates"].items():
        lines.append(f"Matrix products, {key}: {rate / 1e12:.2f} TFLOP/s.")
    rows = []
    for row in results["rows"]:
        start = row["title"], *(row["subject"][key] for key in ("device", "dtype", "attention"))
        for size, found in row["sizes"].items():
            work = f"{found['operations'] / 1e12:.2f}" if "operations" in found else ""
            figures = (found.get("reason", ""), "", work, "")
            if "seconds" in found:
                share = f"{found['rate_share']:.0%}"
                figures = f"{found['seconds']:.3f}", f"{found['peak_memory_mb']:.0f}", work, share
            rows.append((*start, size, *figures))
    columns = "what", "device", "precision", "attention", "size", "seconds", "peak MB", "TFLOP", "of the matrix rate"
    lines += ["", *format_table(columns, rows), "", *comparisons(results)]
    return "\n".join(lines).rstrip() + "\n"


def comparisons(results: dict[str, Any]) -> list[str]:
    """Return sentences on the speed of the full tier relative to the reference, by device and size."""
    sentences = []
    rows = [(row, size, found) for row in results["rows"] for size, found in row["sizes"].items() if "seconds" in found]
    for reference, size, theirs in rows:
        subject = reference["subject"]
        ours = [
            (found["seconds"], row)
            for row, other, found in rows
            if row["subject"]["network"] == "full" and (row["subject"]["device"], other) == (subject["device"], size)
        ]
        if subject["network"] == "reference" and ours:
            best, row = min(ours, key=lambda one: one[0])
            enlarged = " (which enlarges it to 768)" if size == "512" else ""
            how = f"{row['title']}, {row['subject']['dtype']}, {row['subject']['attention']}"
            times = f"On {subject['device']} at {size}: {theirs['seconds'] / best:.2f} times as fast as the reference"
            sentences.append(f"{times} in {subject['dtype']}{enlarged}: {how}.")
    return sentences


def file_name(results: dict[str, Any]) -> str:
    """Return the file name of the results: the name of the machine."""
    where = results["machine"]
    name = f"{where['gpu'] or where['cpu']} {where['cpus']} cores"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|processor", "", name.lower())).strip("-") + "-table.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Command(__doc__)
    devices = ["cuda", "cpu"]
    parser.add_argument("--devices", nargs="+", default=devices, help="default: both; what is not there is empty")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES_PX), default=list(SIZES_PX))
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that one photo may take (default 120)")
    parser.add_argument("--tiny", action="store_true", help="networks with few channels: a try of the command itself")
    parser.add_argument("--out", type=Path, help="where to write the numbers (default: benchmarks/results/<machine>)")
    given = parser.parse_args(arguments)
    sizes = {name: SIZES_PX[name] for name in SIZES_PX if name in given.sizes}
    results = measure(given.devices, sizes, given.limit, given.tiny)
    print(table(results))
    out = given.out or RESULTS_FOLDER / file_name(results)
    if given.out or not given.tiny:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
