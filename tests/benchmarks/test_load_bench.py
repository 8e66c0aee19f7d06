"""Eight visitors for twenty seconds: what benchmarks/load.py does for five minutes."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.load import Plan, load, server, slope


@pytest.mark.default_model
@pytest.mark.soak
def test_nobody_meets_an_error_and_no_job_is_lost(store: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(store.resolve())
    plan = Plan(sessions=8, tracing=2, seconds=20, think=0.5, cached=3)
    with server(tmp_path) as (address, process):
        seen = asyncio.run(load(address, process, plan))
    assert seen.troubles == []
    assert seen.asked == len(seen.traced) > 0
    assert len(seen.opened) > 8 < len(seen.clicked)


def test_the_slope_is_of_the_last_two_thirds() -> None:
    first = [(60.0 * minute, 0.0, 100.0 * minute) for minute in range(20)]
    late = [(60.0 * minute, 0.0, 2000.0 + minute / 6) for minute in range(20, 61)]
    assert slope(first + late) == pytest.approx(10)
