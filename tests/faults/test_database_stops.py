"""PostgreSQL stops under a real server: pages say so, what was saved is there, and all goes on when it is back."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from benchmarks.load import trace
from benchmarks.visitor import visit
from tests.faults.tabs import SHORT, choose, label, labelled, nodes, shows_label
from tests.lab.postgres import Postgres, programs
from tests.serving import Server, run

pytestmark = pytest.mark.postgresql
AWAY = "can't be read or written now"


@pytest.fixture
def database() -> Iterator[Postgres]:
    found = programs()
    if found is None:
        pytest.skip("there is no PostgreSQL here (on Debian: apt-get install postgresql)")
    server = Postgres(found)
    server.start()
    yield server
    server.remove()


@pytest.mark.parametrize("seconds", [1, pytest.param(30, marks=pytest.mark.soak)])
def test_the_database_stops(serve: Callable[..., Server], database: Postgres, seconds: float) -> None:
    server = serve(HYPOGRAPH_DATABASE_URL=database.url)

    async def work() -> None:
        async with visit(server.address) as tab:
            await tab.says(" · cpu")
            key = await trace(tab, SHORT)
            node, other = nodes(tab)[:2]
            await labelled(tab, node, "before")
            database.stop()
            await label(tab, node, "during")
            await tab.says(AWAY)
            for page in ("", "graph", "library", "hypotheses", "people", "compare", "privacy", "batch"):
                await tab.go(page, **({"graph": key} if page == "graph" else {}))
                assert AWAY in tab.text(), page
            await asyncio.sleep(seconds)
            database.start()
            await tab.go("graph", graph=key)
            await choose(tab, node)
            await shows_label(tab, "before")
            await labelled(tab, other, "after")
            assert AWAY not in tab.text()
            assert tab.troubles == []

    run(work())
    server.stop()  # with tracebacks of what was asked of the record
