"""Two servers on one SQLite: both write, nothing is lost, and each sees what the other wrote."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from benchmarks.load import trace
from benchmarks.visitor import Visitor, visit
from lab import About, Lab
from tests.faults.server import SHORT, Server, choose, label_shown, labelled, nodes

TIMES = 6


def test_two_servers_on_one_sqlite(serve: Callable[..., Server]) -> None:
    one = serve("one")
    url = f"sqlite:///{one.home}/lab.sqlite"
    two = serve("two", HYPOGRAPH_DATABASE=url)

    async def writes(tab: Visitor, node: str, name: str) -> None:
        for n in range(TIMES):
            await labelled(tab, node, f"{name} {n}")

    async def both() -> None:
        async with AsyncExitStack() as stack:
            tabs = [await stack.enter_async_context(visit(server.address)) for server in (one, two)]
            for tab in tabs:
                await tab.says(" · cpu")
                await trace(tab, SHORT)
            first, second = nodes(tabs[0])[:2]
            await asyncio.gather(writes(tabs[0], first, "one"), writes(tabs[1], second, "two"))
            await choose(tabs[0], second)
            await choose(tabs[1], first)
            assert [label_shown(tab) for tab in tabs] == ["two 5", "one 5"]
            for tab in tabs:
                assert "locked" not in tab.text() and tab.troubles == []

    asyncio.run(both())
    lab = Lab(url)
    viewer = lab.person("local", "looks", "Looks")
    labels = [
        [revision.body.text for revision in lab.history(r.id, viewer)] for r in lab.find("label", viewer, About())
    ]
    assert sorted(labels) == [[f"{name} {n}" for n in reversed(range(TIMES))] for name in ("one", "two")]
    lab.close()
    assert "Traceback" not in one.stop() + two.stop()
