"""Turns between single photos and batches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interface.turns import Kind, Turns
from tests.aside import run_aside


def served(*jobs: tuple[str, Kind, int], cancelled: str = "") -> list[str]:
    """The names of jobs in the order of their turns; each job takes that many, one after another."""
    turns, order = Turns(), []

    async def work(name: str, kind: Kind, count: int) -> None:
        for _ in range(count):
            async with turns.turn(kind):
                order.append(name)
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    async def all_of_them() -> None:
        tasks = {name: asyncio.ensure_future(work(name, kind, count)) for name, kind, count in jobs}
        if cancelled:
            await asyncio.sleep(0)
            tasks[cancelled].cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    run_aside(asyncio.wait_for(all_of_them(), 10))
    return order


def test_a_single_photo_waits_for_one_picture_of_a_batch() -> None:
    order = served(("batch", "batch", 20), ("photo", "single", 1))
    assert order[:2] == ["batch", "photo"] and len(order) == 21


def test_batches_take_turns_and_are_not_starved_by_single_photos() -> None:
    order = served(("a", "batch", 4), ("b", "batch", 4), *((f"p{n}", "single", 1) for n in range(4)))
    assert order == ["a", "p0", "b", "p1", "a", "p2", "b", "p3", "a", "b", "a", "b"]


@pytest.mark.parametrize("gone", ["photo", "batch"])
def test_one_who_leaves_does_not_stop_the_others(gone: str) -> None:
    order = served(("batch", "batch", 3), ("photo", "single", 1), ("other", "batch", 2), cancelled=gone)
    assert order.count("other") == 2 and order.count("photo" if gone == "batch" else "batch") in (1, 3)


def test_a_turn_given_at_the_moment_of_leaving_is_passed_on() -> None:
    turns = Turns()

    async def scene() -> Any:
        first = turns.turn("batch")
        await first.__aenter__()
        leaving = asyncio.ensure_future(turns.turn("single").__aenter__())
        after = asyncio.ensure_future(turns.turn("single").__aenter__())
        await asyncio.sleep(0)
        await first.__aexit__(None, None, None)  # gives the turn to the one that leaves now
        leaving.cancel()
        return await asyncio.wait_for(after, 5)

    run_aside(scene())
