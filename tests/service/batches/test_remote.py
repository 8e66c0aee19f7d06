"""What the dashboard makes of a Ray worker that is gone; over a real cluster: test_over_ray.py."""

from typing import Any

import pytest

from service import TraceRequest
from service.batches.remote import Remote
from service.batches.workers import Lost
from service.slot import Choice
from tracer import TracerError


class Gone:
    """Every answer is that its worker is lost, the first after two looks."""

    looks = 0

    def start(self, name: str, *_: Any) -> str:
        return name

    def ready(self, asked: str, _seconds: float) -> bool:
        self.looks += asked == "graph"
        return asked == "how_far" or self.looks > 2

    def answer(self, asked: str) -> Lost:
        return Lost(f"the worker was lost ({asked})")


def test_a_worker_lost_while_it_is_asked_how_far_it_is_fails_the_trace_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote, heard = Remote("nowhere"), list[tuple[str, float]]()
    monkeypatch.setattr(remote, "_actors", lambda _: Gone())
    with pytest.raises(TracerError, match=r"^the worker was lost \(graph\)$"):
        remote(TraceRequest((1,)), None, Choice("tiny", "neurons"), lambda *far: heard.append(far))  # type: ignore[arg-type]
    assert heard == [("record", 0.0)] * 2
