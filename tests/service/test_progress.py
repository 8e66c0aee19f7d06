"""With a clock of our own: a run's fraction and its seconds left."""

import pytest

from service.progress import History, Tracker

PHASES = {"a": 0.25, "b": 0.75}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(history: History, clock: Clock, a: float, b: float) -> None:
    tracker = Tracker(history, clock)
    tracker.report("a", 0.0)
    clock.now += a
    tracker.report("b", 0.0)
    clock.now += b
    tracker.finish()


def test_the_first_run_uses_the_given_weights(clock: Clock) -> None:
    tracker = Tracker(History(PHASES), clock)
    assert (tracker.fraction, tracker.eta()) == (0.0, None)
    tracker.report("a", 0.5)
    assert tracker.fraction == pytest.approx(0.125)
    clock.now += 2
    tracker.report("b", 1 / 3)
    assert tracker.fraction == pytest.approx(0.5)
    assert tracker.eta() == pytest.approx(2.0)  # half is done in 2 s


def test_later_runs_use_what_phases_took(clock: Clock) -> None:
    history = History(PHASES)
    run(history, clock, a=3, b=1)
    tracker = Tracker(history, clock)
    assert tracker.eta() == pytest.approx(4.0)
    tracker.report("a", 1.0)
    assert tracker.fraction == pytest.approx(0.75)


def test_a_slower_run_corrects_the_history(clock: Clock) -> None:
    history = History(PHASES)
    run(history, clock, a=1, b=1)
    tracker = Tracker(history, clock)
    tracker.report("a", 0.0)
    clock.now += 10
    tracker.report("b", 0.0)
    eta = tracker.eta()
    assert eta is not None
    assert 1 < eta < 10
    clock.now += 9
    tracker.report("b", 0.9)
    eta = tracker.eta()
    assert eta == pytest.approx(1.0, abs=0.1)


def test_the_fraction_never_goes_back_and_never_leaves_its_range(clock: Clock) -> None:
    tracker = Tracker(History(PHASES), clock)
    seen = []
    for phase, fraction in [("a", 0.9), ("a", 0.1), ("b", -1), ("b", 7), ("a", 0.5), ("unheard of", 0.1)]:
        tracker.report(phase, fraction)
        seen.append(tracker.fraction)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert tracker.phase == "unheard of"


def test_old_runs_are_forgotten(clock: Clock) -> None:
    history = History(PHASES)
    run(history, clock, a=1000, b=1000)
    for _ in range(8):
        run(history, clock, a=1, b=1)
    assert history.seconds() == pytest.approx({"a": 1, "b": 1})
