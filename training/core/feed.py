"""The batches of a run in order: made on demand, or prefetched by worker processes."""

import queue
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

Request = tuple[list[int], int]  # the samples of a batch, and their side in pixels
BATCHES_AHEAD = 2  # batches that each worker prepares ahead, and that are finished ahead on a GPU


class _Prepared(Dataset[Any]):
    """A data set whose keys are requests and whose items are what a source prepares for them."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __getitem__(self, request: Request) -> tuple[Request, Any]:
        return request, self.source.prepare(*request)


def feed(source: Any, requests: Iterable[Request], workers: int, device: torch.device) -> Generator[Any]:
    """Yield the batches of ``requests`` on ``device``.

    A sample depends on its index alone, so the number of workers does not change the batches.

    Args:
        source: has ``batch``, and for workers ``prepare`` and ``finish`` (`training.data.sources.Sources`).
        requests: indices and side in pixels of each batch.
        workers: number of processes that prefetch; 0 makes each batch when it is asked for.
        device: where the tensors of a batch are put.

    Raises:
        ValueError: workers for a source without ``prepare``.
    """
    if not workers:
        for indices, size in requests:
            yield source.batch(indices, size, device)
        return
    if not hasattr(source, "prepare"):
        raise ValueError(f"workers is not for {type(source).__name__}, which keeps its samples: set it to 0.")
    loader = DataLoader(
        _Prepared(source),
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        prefetch_factor=BATCHES_AHEAD,
        pin_memory=device.type == "cuda",
        worker_init_fn=_leave_signals_to_the_trainer,
    )
    finished = (source.finish(prepared, indices, device) for (indices, _), prepared in loader)
    yield from in_background(finished, device) if device.type == "cuda" else finished


def _leave_signals_to_the_trainer(_: int) -> None:
    """Ignore signals that a terminal sends to all processes: the trainer saves and then ends its workers itself."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def in_background(batches: Iterator[Any], device: torch.device) -> Iterator[Any]:
    """Yield ``batches``, made by a thread on its own CUDA stream while the one before is in use.

    An exception of the thread is raised here.
    """
    ready: queue.Queue[Any] = queue.Queue(BATCHES_AHEAD)
    over = threading.Event()
    stream = torch.cuda.Stream(device)

    def put(item: Any) -> None:
        while not over.is_set():
            try:
                return ready.put(item, timeout=1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            with torch.cuda.stream(stream):
                for batch in batches:
                    put((batch, stream.record_event()))
                    if over.is_set():
                        return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            batch, made = item
            here = torch.cuda.current_stream(device)
            here.wait_event(made)
            for value in batch.values():
                value.record_stream(here)  # its memory is not used anew before training is done with it
            yield batch
    finally:
        over.set()
        thread.join()
