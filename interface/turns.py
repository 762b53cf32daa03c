"""Turns at the models between single photos and batches, so that neither has to wait for the whole of the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Kind = Literal["single", "batch"]
OTHER: dict[Kind, Kind] = {"single": "batch", "batch": "single"}


class Turns:
    """Lets one job at a time use the models. Where both kinds wait, they alternate; one kind is served as it came.

    A picture of a batch asks for a turn of its own: a single photo waits for at most one of them, and batches go on
    picture by picture, in rotation. To be used in one event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[Kind, deque[asyncio.Future[None]]] = {"single": deque(), "batch": deque()}
        self._serving: Kind | None = None

    @asynccontextmanager
    async def turn(self, kind: Kind) -> AsyncIterator[None]:
        """Wait for a turn, and hold it in the block."""
        if self._serving is None:
            self._serving = kind
        else:
            future = asyncio.get_running_loop().create_future()
            self._waiting[kind].append(future)
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():  # it had just been given the turn
                    self._pass_on()
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        last, self._serving = self._serving, None
        assert last is not None
        for kind in (OTHER[last], last):
            while self._waiting[kind]:
                future = self._waiting[kind].popleft()
                if not future.done():  # else its caller has left
                    self._serving = kind
                    future.set_result(None)
                    return


turns = Turns()
"""Those of this app."""
