"""The table measures what it says, leaves out what cannot be run, and says why."""

import json
import time
from dataclasses import asdict

import numpy as np
import pytest
import torch

from benchmarks import rows, table
from benchmarks.subjects import TITLES, Subject, build, call_of, count_operations, operations
from models import runtime
from tests.clock import Clock


def test_operations_are_two_for_a_multiply_add() -> None:
    a, b = torch.empty(3, 5, device="meta"), torch.empty(5, 7, device="meta")
    assert count_operations(lambda: a @ b) == 2 * 3 * 5 * 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rate_is_that_of_the_fastest_of_three_products(dtype, monkeypatch) -> None:
    products, taken = [], iter([4.0, 2.0, 3.0])

    def seconds(call, device, runs, warmup):
        products.append(call())
        return next(taken)

    monkeypatch.setattr(table, "seconds", seconds)
    assert table.matrix_rate("cpu", dtype, 16) == 2 * 16**3 / 2.0
    assert [(product.shape, product.dtype) for product in products] == [((16, 16), dtype)] * 3


@pytest.mark.slow
def test_operations_are_those_that_are_run() -> None:
    full, reference, small = (Subject(name, tiny=True) for name in ("full", "reference", "small"))
    ours, theirs = operations(full, 800, 64), operations(reference, 800, 64)
    assert 0.5 * theirs < ours < 0.99 * theirs  # of one size, less what is kept
    assert operations(reference, 100, 8) == operations(reference, 768, 61)  # below 768 it enlarges
    assert operations(full, 1600, 64) > 2.2 * ours  # beyond a tile, overlap and overview are added
    assert operations(small, 200, 160) > operations(small, 90, 80) > 0


def takes(monkeypatch, call, *seconds: float) -> None:
    """Let what is measured be ``call``, which takes these seconds, one after the other."""
    clock, taken = Clock(), iter(seconds)

    def timed(photo):
        clock.sleep(next(taken))
        return call(photo)

    monkeypatch.setattr(rows, "call_of", lambda *_: timed)
    monkeypatch.setattr(runtime, "time", clock)


@pytest.mark.parametrize("network", list(TITLES))
def test_every_network_is_timed_behind_the_same_boundary(network, monkeypatch) -> None:
    monkeypatch.setattr(rows, "MAX_TIMED_RUNS", 2)
    subject = Subject(network, "float32", tiny=True)
    width, height = (768, 16) if network == "reference" else (40, 28)
    photo = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    made = call_of(subject, build(subject))
    restored = made(photo)
    assert restored.shape == photo.shape and restored.dtype == np.float32 and np.isfinite(restored).all()
    size = {"width": width, "height": height, "operations": 10**6}
    takes(monkeypatch, made, 9.0, 3.0, 1.0)
    monkeypatch.setattr(rows, "peak_memory_mb", lambda device: 321.0)
    (found,) = rows.measure(subject, [size], rate=1e12, limit=60)
    share = 10**6 / 2.0 / 1e12  # the first call, of 9 s, does not count
    assert found == size | {"seconds": 2.0, "least": 1.0, "runs": 2, "peak_memory_mb": 321.0, "rate_share": share}


def test_attention_and_precision_are_those_of_the_row() -> None:
    row = Subject("full", "bfloat16", "xformers", tiny=True)
    network = build(row)
    call_of(row, network)
    assert {type(p).__name__ for p in network.unet.attn_processors.values()} == {"XFormersAttnProcessor"}
    assert network.unet.dtype == network.vae_2.dtype == network.prompt_embedding.dtype == torch.bfloat16


def test_what_would_take_too_long_or_too_much_memory_is_left_out_with_its_reason(monkeypatch) -> None:
    subject = Subject("nafnet", tiny=True)
    sizes = [{"width": 16, "height": 16, "operations": 100}, {"width": 32, "height": 32, "operations": 10**4}]
    takes(monkeypatch, lambda photo: photo, *[0.5] * 6)
    first, second = rows.measure(subject, sizes, rate=1e12, limit=5)
    assert first["seconds"] == 0.5 and second["reason"] == "would take about 50 s a photo (limit 5 s)"

    def short(photo):
        raise MemoryError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(rows, "call_of", lambda *_: short)
    (only,) = rows.measure(subject, [dict(size, operations=1) for size in sizes], rate=1e12, limit=5)
    assert only["reason"].startswith("out of memory (DefaultCPUAllocator")


@pytest.mark.slow
def test_a_row_runs_in_its_own_process_and_a_failing_one_says_why(monkeypatch, tmp_path) -> None:
    subject, began = Subject("nafnet", tiny=True), time.perf_counter()
    found = table.run(subject, {"512": (24, 16)}, 1e12, 60)["512"]
    assert (found["width"], found["height"], found["operations"]) == (24, 16, operations(subject, 24, 16))
    assert 0 < found["seconds"] * (1 + rows.MAX_TIMED_RUNS) < time.perf_counter() - began
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho '{\"seconds\": 1}'; echo 'RuntimeError: no such kernel' >&2; exit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(table.sys, "executable", str(failing))
    first, second = table.run(subject, {"512": (24, 16), "768": (32, 24)}, 1e12, 60).values()
    assert first == {"seconds": 1} and second["reason"] == "the process ended (RuntimeError: no such kernel)"


def test_the_table_leaves_the_rows_of_a_gpu_that_is_not_there_empty(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(table, "matrix_rate", lambda device, dtype, size: 2.5e12)
    monkeypatch.setattr(table, "run", lambda subject, sizes, rate, limit: {
        name: {"operations": 5e12, "seconds": 2.0 if subject.network == "full" else 7.0, "least": 1.9, "runs": 5,
               "peak_memory_mb": 900.4, "rate_share": 0.25}
        for name in sizes
    })  # fmt: skip
    out = tmp_path / "table.json"
    table.main(["--tiny", "--sizes", "768", "--out", str(out)])
    printed = capsys.readouterr().out
    numbers = json.loads(out.read_text())
    on_gpu = [row for row in numbers["rows"] if row["subject"]["device"] == "cuda"]
    assert [row["subject"] for row in on_gpu] == [asdict(one) for one in table.subjects("cuda", tiny=True)]
    assert all(row["sizes"]["768"] == {"reason": "there is no GPU here"} for row in on_gpu)
    assert "| Limpid, full | cuda | bfloat16 | xformers | 768 | there is no GPU here |  |  |  |" in printed
    assert "| NAFNet, width 32 | cpu | float32 | sdpa | 768 | 7.000 | 900 | 5.00 | 25% |" in printed
    assert "On cpu at 768: 3.50 times as fast as the reference in float32: Limpid, full" in printed
    assert numbers["rates"] == {"cpu float32": 2.5e12, "cpu bfloat16": 2.5e12}
    assert "Matrix products, cpu bfloat16: 2.50 TFLOP/s." in printed
    named = {"machine": {"gpu": None, "cpu": "Intel(R) Xeon(R) Processor @ 2.00GHz", "cpus": 2}}
    assert table.file_name(named) == "intel-xeon-2-00ghz-2-cores-table.json"
