"""Stands in for the slow model: the engine's methods, graphs of a hundred bytes, and a hand on the brake."""

import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import tracer


class FakeGraph:
    def __init__(self, meta: dict[str, Any], size: int = 100) -> None:
        self.meta = meta
        self.size = size

    def to_bytes(self) -> bytes:
        return json.dumps(self.meta).encode().ljust(self.size)

    @classmethod
    def from_bytes(cls, data: bytes) -> "FakeGraph":
        try:
            return cls(json.loads(data), len(data))
        except ValueError as error:
            raise tracer.TracerError("these bytes are no graph") from error


class FakeModel:
    vocab_size = 1000
    model_fingerprint = "m" * 64
    basis_fingerprint = "b" * 64

    def __init__(self, name: str, engine: "FakeEngine", reuse: "FakeModel | None" = None) -> None:
        self.name = name
        self.model_fingerprint = name
        self.engine = engine
        own = SimpleNamespace(weight_bytes=engine.weights.get(name, 0))
        self.anatomy = own if reuse is None else reuse.anatomy
        self.me = self  # as real models do, it holds on to itself: only the collector frees it

    def trace(self, prompt: str | None = None, *, tokens: list[int], progress: Any, **settings: Any) -> FakeGraph:
        assert prompt is None
        self.engine.traced.append(tuple(tokens))
        self.engine.models.append(self.name)
        for phase in ("record", "select", "sweep", "prune"):
            progress(phase, 0.0)
            if phase == "sweep":
                self.engine.run_up_to_brake(progress, phase)
                self.engine.fail_if_asked()
            progress(phase, 1.0)
        return FakeGraph({"tokens": tokens}, self.engine.graph_size)


class FakeEngine:
    """`load` is the engine's; the rest is for the test."""

    def __init__(self) -> None:
        self.brake = threading.Event()  # clear: the sweep goes on for ever, reporting progress
        self.brake.set()
        self.load_brake = threading.Event()
        self.load_brake.set()
        self.traced: list[tuple[int, ...]] = []
        self.features: list[tuple[str, str | None]] = []  # with each load, and the model whose weights serve again
        self.models: list[str] = []  # which one traced it
        self.loads: list[str] = []
        self.trouble: BaseException | None = None  # raised by the next trace, once
        self.load_trouble: BaseException | None = None  # raised by the next load, once
        self.graph_size = 100
        self.weights: dict[str, int] = {}  # bytes of each model, 0 where it is not here

    def load(self, name: str, *, features: str, progress: Any, reuse: Any, **where: Any) -> FakeModel:
        self.loads.append(name)
        self.features.append((features, None if reuse is None else reuse.name))
        progress("assemble", 0.5)
        while not self.load_brake.wait(0.01):
            progress("convert", 0.5)
        if self.load_trouble is not None:
            trouble, self.load_trouble = self.load_trouble, None
            raise trouble
        progress("self-check", 1.0)
        return FakeModel(name, self, reuse)

    def run_up_to_brake(self, progress: Any, phase: str) -> None:
        progress(phase, 0.5)
        while not self.brake.wait(0.01):
            progress(phase, 0.5)

    def fail_if_asked(self) -> None:
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble


def until(condition: Any, seconds: float = 60.0) -> None:
    """Wait until it is true, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
