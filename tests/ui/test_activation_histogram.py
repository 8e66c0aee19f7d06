"""An activation stands in the bar that counts it."""

import numpy as np
import pytest

from tracer.dashboards.tally import BINS, bins_of
from ui.activation_histogram import edge, place


@pytest.mark.parametrize("size", [1e-6, 0.06, 0.125, 0.2, 0.25, 1.0, 3.7, 63.9, 127.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_mark_stands_in_the_bar_that_counts_it(size: float, sign: int) -> None:
    value = sign * size
    bar = int(bins_of(np.array([value], dtype=np.float32))[0]) - BINS
    assert bar <= place(value) <= bar + 1
    assert min(edge(bar), edge(bar + 1)) <= value <= max(edge(bar), edge(bar + 1))


def test_what_is_beyond_the_last_bar_stands_at_its_end() -> None:
    assert (place(1e9), place(-1e9)) == (BINS, -BINS)


def test_between_two_edges_it_stands_by_its_logarithm() -> None:
    assert place(2.0**0.5) == pytest.approx(4.5) and place(-(2.0**0.5)) == pytest.approx(-4.5)
    assert place(0.0625) == pytest.approx(0.5) and edge(4) == 1.0 and edge(-4) == -1.0 and edge(0) == 0.0
