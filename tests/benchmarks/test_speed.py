"""The benchmarks measure what they say, at sizes that take no time."""

import json
import sys
import time
from itertools import count
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import numpy as np
import pytest
from PIL import Image

from benchmarks import large, speed
from benchmarks.large import measure_apart
from benchmarks.speed import free_port, start_seconds
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from tests.clock import Clock


@pytest.fixture
def small_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of an eighth of the size: 64 x 64 for 512 x 512."""
    whole = speed.sample_photo
    monkeypatch.setattr(speed, "sample_photo", lambda width, height: whole(width // 8, height // 8))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "tiny-model"
    DereflectionPipeline(SmallDereflection.tiny()).save_pretrained(folder)
    return str(folder)


def test_calls_take_turns_and_are_timed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    clock = Clock()
    monkeypatch.setattr(speed, "time", clock)

    def slow(photo: np.ndarray) -> None:
        order.append("slow")
        clock.sleep(2.0 + len(order))

    def fast(photo: np.ndarray) -> None:
        order.append("fast")
        clock.sleep(0.5)

    seconds = speed.side_by_side({"slow": slow, "fast": fast}, np.zeros((4, 4, 3)), runs=3, warmup=1)
    assert order == ["slow", "fast"] * 4
    assert seconds == {"slow": [5.0, 7.0, 9.0], "fast": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nafnet_stands_behind_the_pipelines_boundary(dtype: str) -> None:
    photo = np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
    restored = speed.nafnet_call(dtype, tiny=True)(photo)
    assert restored.shape == photo.shape and restored.dtype == np.float32
    assert restored.min() >= 0 and restored.max() <= 1


@pytest.mark.slow
def test_a_large_photo_is_measured_in_its_own_process(model: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(speed.sample_photo(80, 60)).save(photo)
    began = time.perf_counter()
    result = measure_apart(photo, model, "pipeline", "float32")
    assert (result["width"], result["height"], result["megapixels"]) == (80, 60, 0.0048)
    assert 0 < result["seconds"] < time.perf_counter() - began
    # A whole Python with torch, in MiB; the system knows the largest of the processes that have ended.
    assert 100 < result["peak_memory_mb"] <= getrusage(RUSAGE_CHILDREN).ru_maxrss / 2**10


def test_what_is_measured_is_reported_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(speed.sample_photo(8, 6)).save(photo)
    asked: list[tuple[object, ...]] = []

    def host(*given: object) -> float:
        asked.append(given)
        return 2.5

    monkeypatch.setattr(large, "through_host", host)
    monkeypatch.setattr(large, "peak_memory_mb", lambda device: 321.0)
    large.main(["--photo", str(photo), "--model", "a-model", "--through", "host"])
    assert json.loads(capsys.readouterr().out) == {
        "through": "host", "width": 8, "height": 6, "megapixels": 48e-6, "seconds": 2.5, "peak_memory_mb": 321.0,
    }  # fmt: skip
    assert asked == [(photo, "a-model")]


def test_a_failing_measurement_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(speed.sample_photo(8, 8)).save(photo)
    with pytest.raises(SystemExit):
        large.main(["--photo", str(photo), "--model", "no-such-model"])
    assert "no-such-model" in capsys.readouterr().err
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho 'no such model' >&2; exit 2\n")
    failing.chmod(0o755)
    monkeypatch.setattr(large.sys, "executable", str(failing))
    with pytest.raises(RuntimeError, match="through the pipeline failed:\nno such model"):
        measure_apart(photo, "no-such-model", "pipeline")


def test_the_table_and_the_numbers(
    model: str, small_photos: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"nafnet_call": speed.nafnet_call}
    monkeypatch.setattr(speed, "nafnet_call", lambda dtype: small["nafnet_call"](dtype, tiny=True))
    monkeypatch.setattr(speed, "time", Clock(count()))  # the four calls take 1, 3, 5 and 7 s
    out = tmp_path / "speed.json"
    speed.main(["--model", model, "--only", "512", "--runs", "2", "--out", str(out)])
    numbers = json.loads(out.read_text())
    assert numbers["512"]["runs"] == 2 and numbers["512"]["dtype"] == "float32"
    assert numbers["512"]["pipeline"] == {"median": 3.0, "least": 1.0, "most": 5.0}
    assert numbers["512"]["nafnet"] == {"median": 5.0, "least": 3.0, "most": 7.0}
    printed = capsys.readouterr().out
    assert "3.000 s (least 1.000); NAFNet-32 5.000 s (least 3.000)" in printed and "tiny-model" in printed
    numbers |= {"start": [4.31], "12mp": [{"megapixels": 12.0, "through": "host", "seconds": 9, "peak_memory_mb": 900}]}
    assert "| 4.3 s |" in speed.table(numbers) and "| 9.0 s, 900 MB |" in speed.table(numbers)


@pytest.mark.parametrize("guided", [True, False])
def test_what_guidance_takes(
    guided: bool,
    small_photos: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(speed, "time", Clock(2.0**-n for n in count()))  # calls of 1/2, 1/8, 1/32, 1/128 s
    network = SmallDereflection.tiny()
    if guided:
        network.add_tags(("dog", "car"))
    DereflectionPipeline(network).save_pretrained(tmp_path / "model")
    out = tmp_path / "speed.json"
    speed.main(["--model", str(tmp_path / "model"), "--only", "guide", "--runs", "1", "--out", str(out)])
    numbers = json.loads(out.read_text())["guide"]
    added = {"added": 1 / 32 - 1 / 128} if guided else {}
    assert numbers == {"guide": "semantics-small", "seconds": {"64x64": 0.5, "500x375": 0.125}} | added
    printed = capsys.readouterr().out
    assert "0.500 s at 64x64, 0.125 s at 500x375" in printed
    assert ("tags add 0.023 s to the restorer" in printed) == guided


SERVER = """
import http.server, os, time
time.sleep(0.5)
http.server.HTTPServer((os.environ["GRADIO_SERVER_NAME"], int(os.environ["GRADIO_SERVER_PORT"])),
                       http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.slow
def test_start_is_timed_until_the_page_answers_and_the_server_is_stopped() -> None:
    port, began = free_port(), time.perf_counter()
    seconds = start_seconds([sys.executable, "-c", SERVER], f"http://127.0.0.1:{port}/", port, timeout=30)
    assert 0.5 < seconds < time.perf_counter() - began
    with pytest.raises(RuntimeError, match="did not answer within 0 s"):  # nothing is left listening
        start_seconds([sys.executable, "-c", "import time; time.sleep(9)"], f"http://127.0.0.1:{port}/", port, 0.3)


@pytest.mark.slow
def test_a_server_that_ends_says_why() -> None:
    with pytest.raises(RuntimeError, match="code 3:\nno such port"):
        start_seconds([sys.executable, "-c", "print('no such port'); raise SystemExit(3)"], "http://127.0.0.1:9/", 9)
