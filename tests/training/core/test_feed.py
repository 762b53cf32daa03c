"""Batches made ahead by processes, and finished ahead by a thread."""

import os
import signal
import threading

import pytest
import torch

from training.core import feed as module
from training.core.feed import feed, in_background
from training.tasks.dereflection.config import DataConfig
from training.tasks.dereflection.dataset import Reflections

REQUESTS = [([0, 1], 32), ([2, 3], 48), ([4, 5], 32)]


@pytest.fixture
def source(photo_folder) -> Reflections:
    return Reflections(DataConfig(root=photo_folder, clean=["."], store_side=64), 3)


@pytest.mark.slow
def test_workers_give_the_batches_that_are_made_without_them(source):
    alone, ahead = (list(feed(source, REQUESTS, workers, torch.device("cpu"))) for workers in (0, 2))
    assert [b["input"].shape[-1] for b in ahead] == [32, 48, 32]
    for a, b in zip(alone, ahead, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


class Signalled(Reflections):
    """Sends its worker the signals of a terminal before each batch."""

    def prepare(self, indices, size):
        for name in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), name)
        return super().prepare(indices, size)


@pytest.mark.slow
def test_workers_go_on_when_the_run_is_asked_to_stop(photo_folder):
    source = Signalled(DataConfig(root=photo_folder, clean=["."], store_side=64), 3)
    assert len(list(feed(source, REQUESTS, 2, torch.device("cpu")))) == 3


class FakeStream:
    """In place of a CUDA stream: what waits for what is kept in a list."""

    def __init__(self, *_: object) -> None:
        self.waited: list[str] = []

    def record_event(self) -> str:
        return "made"

    def wait_event(self, event: str) -> None:
        self.waited.append(event)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class FakeTensor:
    def __init__(self, value: int) -> None:
        self.value, self.stream = value, None

    def record_stream(self, stream: FakeStream) -> None:
        self.stream = stream


@pytest.fixture
def stream(monkeypatch) -> FakeStream:
    here = FakeStream()
    monkeypatch.setattr(module.torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(module.torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(module.torch.cuda, "current_stream", lambda _: here)
    return here


def test_a_batch_is_waited_for_and_kept_until_it_is_used(stream):
    batches = list(in_background(({"x": FakeTensor(i)} for i in range(5)), torch.device("cuda")))
    assert [b["x"].value for b in batches] == list(range(5))
    assert stream.waited == ["made"] * 5 and all(b["x"].stream is stream for b in batches)


def test_what_fails_in_the_background_is_raised_here(stream):
    def broken():
        yield {"x": FakeTensor(0)}
        raise OSError("no such photo")

    batches = in_background(broken(), torch.device("cuda"))
    assert next(batches)["x"].value == 0
    with pytest.raises(OSError, match="no such photo"):
        next(batches)


def test_closing_ends_the_thread(stream):
    made, before = [], threading.active_count()

    def endless():
        while True:
            made.append({"x": FakeTensor(len(made))})
            yield made[-1]

    batches = in_background(endless(), torch.device("cuda"))
    next(batches)
    batches.close()
    assert threading.active_count() == before and len(made) <= module.BATCHES_AHEAD + 3
