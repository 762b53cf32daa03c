"""The benchmarks measure what they say, at sizes that take no time."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import speed
from benchmarks.large import measure_apart
from benchmarks.speed import free_port, start_seconds
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "tiny-model"
    DereflectionPipeline(SmallDereflection.tiny()).save_pretrained(folder)
    return str(folder)


def test_calls_take_turns_and_are_timed_apart() -> None:
    order = []

    def slow(photo: np.ndarray) -> None:
        order.append("slow")
        time.sleep(0.02)

    def fast(photo: np.ndarray) -> None:
        order.append("fast")

    seconds = speed.side_by_side({"slow": slow, "fast": fast}, np.zeros((4, 4, 3)), runs=3, warmup=1)
    assert order == ["slow", "fast"] * 4
    assert [len(values) for values in seconds.values()] == [3, 3]
    assert min(seconds["slow"]) >= 0.02 > max(seconds["fast"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nafnet_stands_behind_the_pipelines_boundary(dtype: str) -> None:
    photo = np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
    restored = speed.nafnet_call(dtype, tiny=True)(photo)
    assert restored.shape == photo.shape and restored.dtype == np.float32
    assert restored.min() >= 0 and restored.max() <= 1


def test_a_large_photo_is_measured_in_its_own_process(model: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(speed.sample_photo(80, 60)).save(photo)
    result = measure_apart(photo, model, "pipeline", "float32")
    assert (result["width"], result["height"]) == (80, 60)
    assert 0 < result["seconds"] < 60
    assert 100 < result["peak_memory_mb"] < 4096  # a whole Python with torch, in MB and not in kB


def test_a_failing_measurement_says_why(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(speed.sample_photo(8, 8)).save(photo)
    with pytest.raises(RuntimeError, match="no-such-model"):
        measure_apart(photo, "no-such-model", "pipeline")


def test_the_table_and_the_numbers(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"nafnet_call": speed.nafnet_call}
    monkeypatch.setattr(speed, "nafnet_call", lambda dtype: small["nafnet_call"](dtype, tiny=True))
    out = tmp_path / "speed.json"
    speed.main(["--model", model, "--only", "512", "--runs", "2", "--out", str(out)])
    numbers = json.loads(out.read_text())
    assert numbers["512"]["runs"] == 2 and numbers["512"]["dtype"] == "float32"
    assert 0 < numbers["512"]["pipeline"]["least"] <= numbers["512"]["pipeline"]["median"]
    printed = capsys.readouterr().out
    assert f"{numbers['512']['nafnet']['median']:.3f} s" in printed and "tiny-model" in printed
    numbers |= {"start": [4.31], "12mp": [{"megapixels": 12.0, "through": "host", "seconds": 9, "peak_memory_mb": 900}]}
    assert "| 4.3 s |" in speed.table(numbers) and "| 9.0 s, 900 MB |" in speed.table(numbers)


@pytest.mark.parametrize("guided", [True, False])
def test_what_guidance_takes(guided: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = SmallDereflection.tiny()
    if guided:
        network.add_tags(("dog", "car"))
    DereflectionPipeline(network).save_pretrained(tmp_path / "model")
    out = tmp_path / "speed.json"
    speed.main(["--model", str(tmp_path / "model"), "--only", "guide", "--runs", "1", "--out", str(out)])
    numbers = json.loads(out.read_text())["guide"]
    assert set(numbers["seconds"]) == {"512x512", "4000x3000"} and min(numbers["seconds"].values()) > 0
    assert ("added" in numbers) == guided
    printed = capsys.readouterr().out
    assert f"{numbers['seconds']['512x512']:.3f} s at 512x512" in printed
    assert ("tags add" in printed) == guided


SERVER = """
import http.server, os, time
time.sleep(0.5)
http.server.HTTPServer((os.environ["GRADIO_SERVER_NAME"], int(os.environ["GRADIO_SERVER_PORT"])),
                       http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_start_is_timed_until_the_page_answers_and_the_server_is_stopped() -> None:
    port = free_port()
    seconds = start_seconds([sys.executable, "-c", SERVER], f"http://127.0.0.1:{port}/", port, timeout=30)
    assert 0.5 < seconds < 30
    with pytest.raises(RuntimeError, match="did not answer within 0 s"):  # nothing is left listening
        start_seconds([sys.executable, "-c", "import time; time.sleep(9)"], f"http://127.0.0.1:{port}/", port, 0.3)


def test_a_server_that_ends_says_why() -> None:
    with pytest.raises(RuntimeError, match="code 3:\nno such port"):
        start_seconds([sys.executable, "-c", "print('no such port'); raise SystemExit(3)"], "http://127.0.0.1:9/", 9)
