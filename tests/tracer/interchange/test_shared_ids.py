"""One id for a feature and an error: what a link means, and when nobody can say."""

import numpy as np
import pytest

from tracer.interchange.shared_ids import settle

# features 0 (layer 0), 1 (layer 1), 2 (layer 2); errors 3 (layer 0), 4 (layer 1); embedding 5; logits 6, 7.
LEVEL = np.array([0, 1, 2, 0, 1, -1, 3, 3])
SHARED = (0, 4)  # feature 0 and the error of layer 1 have the same id


def settled(*links: tuple[int, int | tuple[int, int]]) -> list[int]:
    """Of links (target, source), a source of two candidates as a pair."""
    targets = np.array([target for target, _ in links])
    pairs = [source if isinstance(source, tuple) else (source, -1) for _, source in links]
    first, second = np.array(pairs).T
    return settle(targets, first, second, LEVEL).tolist()


@pytest.mark.parametrize(
    ("links", "sources"),
    [
        ([(6, 0), (6, 5)], [0, 5]),  # nothing shared
        ([(1, SHARED)], [0]),  # an error of layer 1 can't feed layer 1
        ([(2, SHARED)], [-1]),  # both could
        ([(6, SHARED), (6, SHARED)], [0, 4]),  # both do, in the order of the nodes
        ([(6, 1), (6, SHARED)], [1, 4]),  # after a feature that comes after feature 0
        ([(6, SHARED), (6, 2)], [0, 2]),
        ([(6, SHARED), (6, 5)], [-1, 5]),  # before the embeddings are both
        ([(6, 3), (6, SHARED), (6, 5)], [3, 4, 5]),
        ([(6, SHARED), (6, 2), (6, 3), (6, SHARED)], [0, 2, 3, 4]),
        ([(6, 3), (7, SHARED)], [3, -1]),  # another target says nothing
        ([(7, 5), (6, 3), (6, SHARED)], [5, 3, -1]),  # links in no order: order says nothing
        ([(6, 5), (6, SHARED)], [5, -1]),  # neither fits
    ],
)
def test_settle(links: list, sources: list[int]):
    assert settled(*links) == sources
