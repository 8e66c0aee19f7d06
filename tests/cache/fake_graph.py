"""A graph with the engine's storage contract and nothing else: bytes out, bytes in, a JSON meta."""

import json

import tracer

MB = 1_000_000


class FakeGraph:
    def __init__(self, name: str, size: int = 100) -> None:
        self.meta = {"name": name}
        self.size = size

    def to_bytes(self) -> bytes:
        head = json.dumps(self.meta).encode()
        return b"GRAPH" + head + b"\n" + b"\0" * (self.size - len(head) - 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> "FakeGraph":
        if not data.startswith(b"GRAPH"):
            raise tracer.TracerError("these bytes are no graph")
        return cls(json.loads(data[5 : data.index(b"\n")])["name"], len(data))
