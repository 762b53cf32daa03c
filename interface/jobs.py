"""Running of jobs in the background, with progress and cancellation.

`run` is the only function that uses models, so it has the decorator `spaces.GPU`: on a ZeroGPU Space it runs in another
process (hence plain values in and out); elsewhere the decorator does nothing.
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

MIN_GPU_S, MAX_GPU_S = 10, 300  # bounds of the time for which a GPU is reserved


@dataclass(frozen=True)
class Job:
    """Steps to run on an image, or one guide; plain values, which can be sent to another process.

    ``extras``: whether layers and previews are written, too.
    """

    image: str | None
    steps: tuple[str, ...]
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    out_dir: str = ""
    guide: bool = False
    extras: bool = True


@dataclass(frozen=True)
class Step:
    """Progress of a job: a fraction in [0, 1] and a message."""

    fraction: float
    message: str


_host: Host | None = None


def use(host: Host) -> None:
    """Set the host that `run` uses; it is global so that a GPU process inherits it."""
    global _host
    _host = host


def host() -> Host:
    """Return the host set by `use`. Raises RuntimeError if there is none."""
    if _host is None:
        raise RuntimeError("interface.jobs.use(host) has not been called")
    return _host


def seconds_of_gpu(job: Job) -> int:
    """Return for how long to reserve a GPU for `job`: by its expected cost, with time for loading the model."""
    try:
        expected = host().cost(job.image or "", job.steps, job.params, job.options.get("model") or None).seconds
    except Exception:  # the run itself reports errors
        return MIN_GPU_S
    return int(min(MAX_GPU_S, max(MIN_GPU_S, MIN_GPU_S + 1.5 * expected)))


@spaces.GPU(duration=seconds_of_gpu)
def run(job: Job) -> Iterator[Step | Outcome | dict[str, Any] | Exception | None]:
    """Run `job` in a thread; yield its progress, then its result or exception. Closing the generator cancels the job.

    In between it yields None, so that the consumer can stop.
    """
    updates: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stop = threading.Event()
    progress = Progress(lambda fraction, message: updates.put(Step(fraction, message)), stop)

    def execute() -> None:
        try:
            if job.guide:
                guidance, record = host().guide(
                    job.image, job.steps[0], job.params.get(job.steps[0]), job.options, progress=progress
                )
                updates.put({"guidance": guidance.as_dict(), "record": record})
            else:
                more: dict[str, Any] = {"previews": job.extras, "layers": job.extras, "progress": progress}
                updates.put(host().restore(job.image, job.steps, job.params, job.options, out_dir=job.out_dir, **more))
        except BaseException as error:  # even SystemExit must be answered, or the consumer waits forever
            updates.put(error if isinstance(error, Exception) else RuntimeError(f"the job ended with {error!r}"))

    threading.Thread(target=execute, name="limpid-job", daemon=True).start()
    try:
        while True:
            try:
                item = updates.get(timeout=0.2)
            except queue.Empty:
                yield None
                continue
            yield item
            if not isinstance(item, Step):
                return
    finally:
        stop.set()


async def follow(job: Job, report: Callable[[Step], None]) -> Any:
    """Run `job` and return its result. Cancelling the awaiting task, as gradio does, cancels the job.

    ``report`` is called with its progress, in the context of the caller. Raises what the job raises.
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

    # `report` needs this context, which knows gradio's request; the loop's own does not.
    context = contextvars.copy_context()

    def tell(step: Step) -> None:
        if not cancelled.is_set():
            context.copy().run(report, step)

    try:
        return await asyncio.to_thread(drain)
    except asyncio.CancelledError:
        cancelled.set()
        raise
