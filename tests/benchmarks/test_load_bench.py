"""Eight visitors for twenty seconds: what benchmarks/load.py does for five minutes."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.load import SETTINGS, Plan, at_rest, load, slope
from tests.serving import serving


@pytest.mark.default_model
@pytest.mark.soak
def test_nobody_meets_an_error_and_no_job_is_lost(store: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(store.resolve())
    plan = Plan(sessions=8, tracing=2, seconds=20, think=0.5, cached=3)
    with serving(tmp_path, **SETTINGS) as server:
        seen = asyncio.run(load(server, plan))
    assert seen.troubles == []
    assert seen.asked == len(seen.traced) > 0
    assert len(seen.opened) > 8 < len(seen.clicked)


def test_the_slope_is_of_the_last_two_thirds() -> None:
    first = [(60.0 * minute, 0.0, 100.0 * minute) for minute in range(20)]
    late = [(60.0 * minute, 0.0, 2000.0 + minute / 6) for minute in range(20, 61)]
    assert slope(first + late)[0] == pytest.approx(10)


def test_memory_counts_when_nobody_is_there() -> None:
    plan = Plan(12, 2, 720, 1.0, shift=100, rest=80)
    assert [plan.open_for(now) > 0 for now in (0, 99, 101, 179, 181, 281)] == [True, True, False, False, True, False]
    memory = [(float(now), 0.0, 500.0 if now % 180 < 160 else 100.0 + now // 180) for now in range(0, 721, 2)]
    assert [own for _, _, own in at_rest(memory, plan)] == [100, 101, 102, 103]
