"""Results one by one, beside the page: what came stays, a cancel stops the work, and a fault is one line."""

import threading

from service import Stream
from tests.pages.conftest import until
from tracer import TracerError


def test_results_come_as_they_are_made_and_a_cancel_stops_the_work() -> None:
    go, stopped = threading.Semaphore(0), threading.Event()

    def work(progress):
        try:
            for n in range(100):
                go.acquire(timeout=10)
                progress("count", n / 100)
                yield n
        finally:
            stopped.set()

    stream = Stream(work, "ask for fewer")
    go.release(3)
    until(lambda: len(stream.found()) == 3)
    assert not stream.over and (stream.phase, stream.fraction) == ("count", 0.02)
    stream.cancel()
    go.release()
    assert stream.wait(5) and stream.over and stream.cancelled and stream.error is None
    assert stream.found() == [0, 1, 2] and stopped.wait(5)


def test_a_fault_is_one_line_and_what_came_before_it_stays() -> None:
    def refused(progress):
        yield 1
        raise TracerError("too long; shorten it")

    def broken(progress):
        raise RuntimeError("a\nb")
        yield

    stream = Stream(refused, "")
    assert stream.wait(5) and stream.found() == [1] and stream.error == "too long; shorten it" and not stream.cancelled
    stream = Stream(broken, "")
    assert stream.wait(5) and stream.error is not None and "\n" not in stream.error and "RuntimeError" in stream.error


def test_one_that_ends_by_itself_was_not_cancelled() -> None:
    stream = Stream(lambda progress: [1, 2], "")
    assert stream.wait(5)
    stream.cancel()
    assert stream.found() == [1, 2] and not stream.cancelled
