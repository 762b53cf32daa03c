"""Runs one job in the background, with progress and a cancel that really stops it.

`run` is the one function that uses the model, so it carries `spaces.GPU`: on a ZeroGPU Space it is executed in
a process of its own (hence plain values in and out), anywhere else the decorator does nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import spaces

from plugins.contract import Cancelled, Progress
from plugins.host.run import Host, Outcome

MIN_GPU_S, MAX_GPU_S = 10, 300  # seconds of GPU asked for


@dataclass(frozen=True)
class Job:
    """What to do: steps on an image, or one guide. Values only, so that it can be sent to another process."""

    image: str | None
    steps: tuple[str, ...]
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    out_dir: str = ""
    guide: bool = False


@dataclass(frozen=True)
class Step:
    """How far a job is: a fraction in [0, 1] and what it is doing."""

    fraction: float
    message: str


_host: Host | None = None


def use(host: Host) -> None:
    """Names the host that `run` works with (a global: a GPU process inherits it)."""
    global _host
    _host = host


def host() -> Host:
    if _host is None:
        raise RuntimeError("interface.jobs.use(host) has not been called")
    return _host


def seconds_of_gpu(job: Job) -> int:
    """How long to reserve a GPU for `job`: in proportion to its cost, with room for loading the model."""
    try:
        expected = host().cost(job.image or "", job.steps, job.params, job.options.get("model") or None).seconds
    except Exception:  # whatever is wrong is reported by the run itself
        return MIN_GPU_S
    return int(min(MAX_GPU_S, max(MIN_GPU_S, MIN_GPU_S + 1.5 * expected)))


@spaces.GPU(duration=seconds_of_gpu)
def run(job: Job) -> Iterator[Step | Outcome | dict[str, Any] | Exception | None]:
    """Works on `job` in a thread: yields Steps, then its result or the exception; None now and then, so that
    whoever follows can leave. Closing it cancels the job."""
    news: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stop = threading.Event()
    progress = Progress(lambda fraction, message: news.put(Step(fraction, message)), stop)

    def work() -> None:
        try:
            if job.guide:
                guidance, record = host().guide(
                    job.image, job.steps[0], job.params.get(job.steps[0]), job.options, progress=progress
                )
                news.put({"guidance": guidance.as_dict(), "record": record})
            else:
                news.put(
                    host().restore(
                        job.image, job.steps, job.params, job.options, out_dir=job.out_dir, progress=progress
                    )
                )
        except BaseException as error:  # whatever it is, somebody waits for an answer, and others for their turn
            news.put(error if isinstance(error, Exception) else RuntimeError(f"the job ended with {error!r}"))

    threading.Thread(target=work, name="limpid-job", daemon=True).start()
    try:
        while True:
            try:
                item = news.get(timeout=0.2)
            except queue.Empty:
                yield None
                continue
            yield item
            if not isinstance(item, Step):
                return
    finally:
        stop.set()


async def follow(job: Job, report: Callable[[Step], None]) -> Any:
    """The result of `job`. Cancelling the awaiting task (what gradio does on cancel) cancels the job itself.

    Raises what the job raised.
    """
    steps = run(job)
    cancelled = threading.Event()
    loop = asyncio.get_running_loop()

    def drain() -> Any:
        for item in steps:
            if cancelled.is_set():
                steps.close()
                raise Cancelled
            if item is None:
                continue
            if isinstance(item, Step):
                loop.call_soon_threadsafe(tell, item)
            elif isinstance(item, Exception):
                raise item
            else:
                return item
        raise RuntimeError("the job ended without a result")

    # `report` must run where gradio's request is known: in this context, not in the loop's own.
    context = contextvars.copy_context()

    def tell(step: Step) -> None:
        if not cancelled.is_set():
            context.copy().run(report, step)

    try:
        return await asyncio.to_thread(drain)
    except asyncio.CancelledError:
        cancelled.set()
        raise
