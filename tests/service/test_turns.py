"""Whose job comes next."""

from service.jobs import Job, TraceRequest
from service.turns import Turns


def job(owner: str, token: int = 0) -> Job:
    return Job(f"{owner}{token}", TraceRequest((token,)), [owner])


def order(turns: Turns) -> list[str]:
    return [one.key for one in turns.order()]


def test_persons_take_turns_whoever_came_first_with_many() -> None:
    turns = Turns()
    for one in (job("ann", 1), job("ann", 2), job("ann", 3), job("bob", 1), job("cid", 1), job("bob", 2)):
        turns.add(one)
    assert order(turns) == ["ann1", "bob1", "cid1", "ann2", "bob2", "ann3"]
    taken = [turns.take() for _ in range(6)]
    assert [one.key for one in taken if one] == ["ann1", "bob1", "cid1", "ann2", "bob2", "ann3"]
    assert turns.take() is None and len(turns) == 0


def test_whoever_just_had_a_turn_comes_after_who_had_none() -> None:
    turns = Turns()
    turns.add(job("ann", 1))
    turns.take()
    turns.add(job("ann", 2))
    turns.add(job("bob", 1))
    assert order(turns) == ["bob1", "ann2"]
    assert (turns.of("ann"), turns.of("bob"), turns.of("cid")) == (1, 1, 0)


def test_a_turn_of_one_kind_leaves_the_others_where_they_are() -> None:
    turns = Turns()
    turns.add(job("ann", 1))
    assert turns.take("run") is None and order(turns) == ["ann1"]
    taken = turns.take("trace")
    assert taken is not None and taken.key == "ann1"


def test_whose_job_it_is_when_the_first_left() -> None:
    turns = Turns()
    both = job("ann", 1)
    both.watchers.append("bob")
    turns.add(both)
    turns.add(job("bob", 2))
    both.watchers.remove("ann")
    assert (turns.of("ann"), turns.of("bob")) == (0, 2)
