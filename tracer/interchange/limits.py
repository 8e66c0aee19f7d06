"""How much of another program's file is read: it is anybody's, and reading it costs many times its size in memory."""

import re
from dataclasses import dataclass

import numpy as np

from tracer.errors import TracerError

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and −1, as int8


@dataclass(frozen=True)
class Limits:
    json_bytes: int = 64_000_000  # 340,000 links take 24 MB; reading takes some twelve times a file's size in memory
    pt_bytes: int = 2_000_000_000
    nodes: int = 2_000_000  # error nodes, one a layer and token, count whether a file names them or not
    edges: int = 20_000_000
    depth: int = 50  # of lists and objects in each other; a graph needs five


DEFAULT = Limits()


def check_depth(data: bytes, limit: int) -> None:
    """Raises TracerError for JSON with lists or objects nested deeper than `limit`. Says nothing of other faults."""
    bare = re.sub(rb'"(?:[^"\\]++|\\.)*+"', b"", data, flags=re.DOTALL)
    steps = np.frombuffer(bare.translate(_STEPS, _NOT_BRACKETS), dtype=np.int8)
    if steps.cumsum(dtype=np.int32).max(initial=0) > limit:
        raise TracerError(f"the file has lists or objects nested deeper than {limit:,} (a graph needs five)")
