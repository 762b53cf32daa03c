"""A queue that serves clients in turn: short jobs soon, long ones in the end, and each is told its place."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio.block_function import BlockFunction
from gradio.queueing import Event, Queue
from gradio.server_messages import ProgressMessage, ProgressUnit
from gradio.utils import get_upload_folder

from models.errors import LimpidError
from plugins.host.pictures import size_of

FIRST_SECONDS = 1.0
"""Guess of a megapixel's time, until an endpoint has been measured."""
BASE_MEGAPIXELS = 0.1
"""Every job costs at least what so many megapixels do: reading, writing, the overview."""


@dataclass
class Share:
    """The turns of several clients, each of whom is due the same part of the time (weighted fair queueing).

    A job's tag is the time, on a clock that runs more slowly the more clients wait, at which it would be done if all of
    them were served at once; jobs are served in the order of their tags. Source: Demers, Keshav and Shenker, "Analysis
    and Simulation of a Fair Queueing Algorithm", 1989.
    """

    clock: float = 0.0
    done: dict[str, float] = field(default_factory=dict)
    """Tag of each client's last job that was served, where it still matters."""

    def serve(self, client: str, arrived: float, seconds: float, clients: set[str]) -> None:
        """Take note that a job is served, which came at ``arrived``; ``clients`` are those who have jobs."""
        self.done[client] = max(self.done.get(client, 0.0), arrived) + seconds
        self.clock += seconds / len(clients)
        self.done = {name: tag for name, tag in self.done.items() if tag > self.clock or name in clients}


@dataclass
class Ticket:
    """A job: the address and the session it came from, its forecast, and the clocks when it came.

    ``among_sessions``: the clock of its address; ``among_addresses``: that of all addresses. ``started``:
    time.monotonic() when it began to run.
    """

    address: str
    session: str
    seconds: float
    number: int
    among_sessions: float
    among_addresses: float
    started: float | None = None


class FairOrder:
    """Orders jobs by turns of addresses, and within an address by turns of sessions."""

    def __init__(self) -> None:
        self.addresses = Share()
        self.sessions: defaultdict[str, Share] = defaultdict(Share)
        self.count = 0

    def ticket(self, address: str, session: str, seconds: float) -> Ticket:
        """Return the ticket of a new job."""
        self.count += 1
        return Ticket(address, session, seconds, self.count, self.sessions[address].clock, self.addresses.clock)

    def order(self, tickets: Iterable[Ticket]) -> list[Ticket]:
        """Return waiting tickets in the order in which they are to be served."""
        by_address: defaultdict[str, list[Ticket]] = defaultdict(list)
        for ticket in sorted(tickets, key=lambda one: one.number):
            by_address[ticket.address].append(ticket)
        tagged = []
        for address, own in by_address.items():
            share, among = self.sessions[address], []
            last: dict[str, float] = {}  # tag of each session's job before
            for ticket in own:
                before = last.get(ticket.session, share.done.get(ticket.session, 0.0))
                last[ticket.session] = max(before, ticket.among_sessions) + ticket.seconds
                among.append((last[ticket.session], ticket.number, ticket))
            tag = self.addresses.done.get(address, 0.0)
            for _, number, ticket in sorted(among, key=lambda one: one[:2]):
                tag = max(tag, ticket.among_addresses) + ticket.seconds
                tagged.append((tag, number, ticket))
        return [ticket for _, _, ticket in sorted(tagged, key=lambda one: one[:2])]

    def serve(self, ticket: Ticket, waiting: Iterable[Ticket]) -> None:
        """Take note that a job is served, and which others wait."""
        others = list(waiting)
        addresses = {ticket.address, *(one.address for one in others)}
        self.addresses.serve(ticket.address, ticket.among_addresses, ticket.seconds, addresses)
        own = {ticket.session, *(one.session for one in others if one.address == ticket.address)}
        self.sessions[ticket.address].serve(ticket.session, ticket.among_sessions, ticket.seconds, own)
        for address in {*self.sessions} - {one.address for one in others}:
            if all(tag <= self.sessions[address].clock for tag in self.sessions[address].done.values()):
                del self.sessions[address]


class FairQueue(Queue):
    """Gradio's queue with fair turns, which also stops the job of a client that has left."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.orders: defaultdict[str, FairOrder] = defaultdict(FairOrder)
        self.tickets: dict[str, Ticket] = {}  # by event, those that run included
        self.megapixel_seconds: dict[BlockFunction, float] = {}

    async def push(self, body: Any, request: Any, username: str | None) -> Any:
        """Add a job; its picture's size says how long it may take."""
        request.state.megapixels = await asyncio.to_thread(megapixels_of, body.data)
        return await super().push(body, request, username)

    def broadcast_estimations(self, concurrency_id: str, after: int | None = None) -> None:
        """Put the queue in order and tell jobs their places: all, or with ``after`` those from the newest one on."""
        queue = self.event_queue_per_concurrency_id[concurrency_id].queue
        newest = queue[after] if after is not None and after < len(queue) else None
        self._sort(concurrency_id)
        start = queue.index(newest) if newest else 0
        super().broadcast_estimations(concurrency_id, start)
        running = [event for job in self.active_jobs if job for event in job if event.concurrency_id == concurrency_id]
        before = [*running, *queue[:start]]
        seconds = sum(self._left(event) for event in before)
        for place, event in enumerate(queue[start:], len(before)):
            if place:
                unit = ProgressUnit(index=None, length=None, unit="", progress=0.0, desc=place_text(place, seconds))
                self.send_message(event, ProgressMessage(progress_data=[unit]))
            seconds += self._left(event)

    def _sort(self, concurrency_id: str) -> None:
        queue = self.event_queue_per_concurrency_id[concurrency_id].queue
        order = self.orders[concurrency_id]
        for event in queue:
            # Forecast anew for all: what is learnt meanwhile must not put later jobs before earlier ones.
            seconds = event.request.state.megapixels * self.megapixel_seconds.get(event.fn, FIRST_SECONDS)
            if event._id in self.tickets:
                self.tickets[event._id].seconds = seconds
            else:
                address = event.username or (event.request.client.host if event.request.client else "")
                self.tickets[event._id] = order.ticket(address, event.session_hash, seconds)
        ranks = {ticket.number: rank for rank, ticket in enumerate(order.order(self._waiting(queue)))}
        queue.sort(key=lambda event: ranks[self.tickets[event._id].number])

    def _waiting(self, queue: Iterable[Event]) -> list[Ticket]:
        return [self.tickets[event._id] for event in queue if event._id in self.tickets]

    def _left(self, event: Event) -> float:
        """Return the seconds that a job is still expected to take."""
        ticket = self.tickets.get(event._id)
        if ticket is None:
            return 0.0
        return max(0.0, ticket.seconds - (time.monotonic() - ticket.started if ticket.started else 0.0))

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """Return the next job."""
        found = super().get_events()
        if found is not None:
            (event, *_), _, concurrency_id = found
            if ticket := self.tickets.get(event._id):
                queue = self.event_queue_per_concurrency_id[concurrency_id].queue
                self.orders[concurrency_id].serve(ticket, self._waiting(queue))
                ticket.started = time.monotonic()
        return found

    async def process_events(self, events: list[Event], batch: bool, begin_time: float, fn: BlockFunction) -> None:
        """Run a job, and learn from its time how long such jobs take."""
        started, event = time.monotonic(), events[0]
        try:
            await super().process_events(events, batch, begin_time, fn)
            if event.alive:
                rate = (time.monotonic() - started) / event.request.state.megapixels
                self.megapixel_seconds[fn] = (self.megapixel_seconds.get(fn, rate) + rate) / 2
        finally:
            self.tickets.pop(event._id, None)

    async def clean_events(self, *, session_hash: str | None = None, event_id: str | None = None) -> None:
        """Drop the jobs of a client that has left, those that run included, as its cancel button would."""
        for event in [event for job in self.active_jobs if job for event in job]:
            if event.session_hash == session_hash or event._id == event_id:
                for task in list(self._asyncio_tasks):
                    if task.get_name().endswith(f"<gradio-sep>{event._id}"):
                        task.cancel()
        await super().clean_events(session_hash=session_hash, event_id=event_id)
        self._forget()

    async def remove_from_queue(self, event_id: str) -> None:
        """Drop a job that waits."""
        await super().remove_from_queue(event_id)
        self._forget()

    def _forget(self) -> None:
        for name in [name for name in self.tickets if name not in self.event_ids_to_events]:
            del self.tickets[name]


def megapixels_of(values: Iterable[Any] | None) -> float:
    """Return the megapixels of the first uploads among a request's values, as headers say, with a small base for each.

    The first is a photo, or the photos of a batch.
    """
    uploads = Path(get_upload_folder()).resolve()
    for value in values or ():
        files = [one["path"] for one in (value if isinstance(value, list) else [value]) if _is_file(one)]
        if files:
            return sum(_megapixels(path, uploads) for path in files)
    return BASE_MEGAPIXELS


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("path"), str)


def _megapixels(path: str, uploads: Path) -> float:
    try:
        if Path(path).resolve().is_relative_to(uploads):  # no other file of the server is opened
            width, height = size_of(path)
            return BASE_MEGAPIXELS + width * height / 1e6
    except (LimpidError, OSError, ValueError):  # the run itself reports what is wrong
        pass
    return BASE_MEGAPIXELS


def place_text(before: int, seconds: float) -> str:
    """Say how many jobs come first and about how long they take."""
    return f"{before} before you, about {max(1, round(seconds))} s"
