"""Turns of the queue: by client, short jobs soon, long ones in the end."""

from __future__ import annotations

from interface.fair_queue import FairOrder, Ticket, megapixels_of, place_text


def served(order: FairOrder, waiting: list[Ticket], count: int = 0) -> list[Ticket]:
    """Serve jobs until none, or `count` of them, are done; `waiting` loses them."""
    done = []
    while waiting and (not count or len(done) < count):
        first = order.order(waiting)[0]
        waiting.remove(first)
        order.serve(first, waiting)
        done.append(first)
    return done


def sessions(tickets: list[Ticket]) -> str:
    return "".join(ticket.session for ticket in tickets)


def test_clients_take_turns_whoever_came_first() -> None:
    order = FairOrder()
    waiting = [order.ticket("here", "a", 1.0) for _ in range(5)] + [order.ticket("here", name, 1.0) for name in "bcb"]
    assert sessions(served(order, waiting)) == "abcabaaa"


def test_addresses_take_turns_however_many_sessions_each_opens() -> None:
    order = FairOrder()
    waiting = [order.ticket("crowd", f"{i}", 1.0) for i in range(9)] + [order.ticket("alone", "x", 1.0)] * 1
    waiting += [order.ticket("alone", "y", 1.0)]
    assert sessions(served(order, waiting)[:4]) == "0x1y"


def test_a_short_job_goes_before_a_long_one_that_came_first_and_the_long_one_is_not_put_off_for_ever() -> None:
    order = FairOrder()
    long = order.ticket("far", "long", 40.0)
    waiting = [long, *(order.ticket(f"near {i}", "short", 0.5) for i in range(3))]
    assert order.order(waiting)[-1] is long
    for count in range(1, 2000):  # a new client with a short job comes whenever one has been served
        (done,) = served(order, waiting, 1)
        if done is long:
            break
        waiting.append(order.ticket(f"new {count}", "short", 0.5))
    assert 100 < count < 700  # after a few times its own length, shared with the three or four others that wait


def test_one_who_was_served_much_waits_for_one_who_was_not() -> None:
    order = FairOrder()
    served(order, [order.ticket("greedy", "a", 1.0) for _ in range(20)])
    waiting = [order.ticket("greedy", "a", 1.0), order.ticket("new", "b", 1.0)]
    assert sorted(sessions(order.order(waiting))) == ["a", "b"]  # what nobody else wanted is not held against one
    waiting += [order.ticket("greedy", "a", 1.0) for _ in range(3)]
    assert sessions(served(order, waiting)).index("b") <= 1


def test_nothing_is_kept_of_clients_that_wait_for_nothing() -> None:
    order = FairOrder()
    for client in range(1000):
        served(order, [order.ticket(f"{client}", f"{client}", 0.2)])
    assert len(order.addresses.done) <= 2 and len(order.sessions) <= 2


def test_no_file_but_an_upload_is_opened_for_its_size(tmp_path, monkeypatch) -> None:
    from tests.interface import files

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    inside, outside = files.photo(tmp_path / "uploads", size=(2000, 1000)), files.photo(tmp_path, size=(2000, 1000))
    assert round(megapixels_of([{"path": str(inside)}]), 1) == 2.1
    for value in ({"path": str(outside)}, {"path": "/dev/stdin"}, {"path": "\0"}, {"path": 5}, "text", None):
        assert megapixels_of([value]) == 0.1
    assert megapixels_of(None) == 0.1
    batch = [{"path": str(inside)}, {"path": str(inside)}]
    assert round(megapixels_of([batch, None, {"path": str(inside)}]), 1) == 4.2  # all of a batch, and nothing else


def test_the_place_is_told_in_words() -> None:
    assert place_text(12, 39.7) == "12 before you, about 40 s" and place_text(1, 0.1) == "1 before you, about 1 s"


def test_a_forecast_that_changes_does_not_put_later_jobs_first() -> None:
    order = FairOrder()
    waiting = [order.ticket("here", f"early {i}", 12.0) for i in range(5)]
    for ticket in waiting:
        ticket.seconds = 0.5  # learnt since
    waiting += [order.ticket("here", f"late {i}", 0.5) for i in range(5)]
    assert [ticket.number for ticket in served(order, waiting)] == list(range(1, 11))
