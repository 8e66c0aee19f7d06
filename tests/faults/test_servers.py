"""kill -9 and a stop of the server while it traces. A second server on its SQLite: both write, and see the other's."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from benchmarks.load import trace
from benchmarks.visitor import Visitor, visit
from lab import About, Lab
from tests.faults.tabs import SHORT, choose, labelled, nodes, shows_label
from tests.helpers import saved, wide_llama
from tests.service.fake_engine import until
from tests.serving import Server, free_port, run

LONG = " ".join(f"w{i % 50}" for i in range(200))
AT_IT = "choosing features", "tracing direct effects"
TIMES = 6


@pytest.fixture(scope="module")
def server(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of both tests."""
    server = Server(tmp_path_factory.mktemp("server"), **settings)
    yield server
    server.kill()


async def begins(tab: Visitor, prompt: str, *phases: str) -> None:
    """A trace, until it is in one of these."""
    await tab.go("")
    runs = tab.runs
    await tab.type("Prompt", prompt)
    await tab.until(lambda: tab.runs > runs and not tab.running and tab.has_button("Trace"))
    await tab.click("Trace")
    await tab.until(lambda: any(words in tab.text() for words in phases))


def test_killed_while_it_traces(server: Server) -> None:
    """What was shown as saved is there, and one click runs again what was not traced."""

    async def before() -> tuple[str, str]:
        async with visit(server.address) as tab:
            await tab.says(" · cpu")
            key = await trace(tab, SHORT)
            node = nodes(tab)[0]
            await labelled(tab, node, "kept")
            await begins(tab, LONG, *AT_IT)
            server.kill()
            await tab.until(lambda: not tab.connected)
            return key, node

    async def after(key: str, node: str) -> None:
        async with visit(f"{server.address}/graph?graph={key}&select={node}") as tab:
            await shows_label(tab, "kept")
            await tab.go("")
            await tab.says("was not traced: the server stopped before.")
            assert "w0 w1 w2" in tab.text()
            await tab.says(" · cpu")
            await tab.click("Run again")
            await tab.until(lambda: tab.page == "graph" and not tab.running)
            await tab.go("")
            assert "was not traced" not in tab.text() and tab.troubles == []

    key, node = run(before())
    server.start()
    run(after(key, node))


def says_that_it_stops(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10).close()
    except urllib.error.HTTPError as refusal:
        return (refusal.code, refusal.read()) == (503, b"stopping\n")
    except OSError:
        pass
    return False


def test_stopped_in_the_middle_of_a_sweep(serve: Callable[..., Server], tmp_path: Path) -> None:
    """It is waited for as long as the settings say, and `/readyz` says so; what that cuts off is offered again.
    `atexit` would come when the sweep's threads have done it all."""
    port = free_port()
    model = saved(wide_llama(n_neurons=1000, n_layers=64), tmp_path / "deep")  # a sweep of ten seconds
    one = serve("one", HYPOGRAPH_MODEL=str(model), HYPOGRAPH_STOP_SECONDS="3", HYPOGRAPH_METRICS_PORT=str(port))

    async def before() -> None:
        async with visit(one.address) as tab:
            await tab.says(" · cpu")
            await begins(tab, LONG, "tracing direct effects")
            one.process.terminate()
            await asyncio.to_thread(until, lambda: says_that_it_stops(port))

    async def after() -> None:
        async with visit(one.address) as tab:
            await tab.says("was not traced: the server stopped before.")

    run(before())
    assert one.process.wait(60) == 0
    one.start()
    run(after())


def test_two_servers_on_one_sqlite(server: Server, serve: Callable[..., Server]) -> None:
    if server.process.poll() is not None:  # the test before ended in between
        server.start()
    url = f"sqlite:///{server.home}/lab.sqlite"
    two = serve("two", HYPOGRAPH_DATABASE_URL=url)

    async def writes(tab: Visitor, node: str, name: str) -> None:
        for n in range(TIMES):
            await labelled(tab, node, f"{name} {n}")

    async def both() -> None:
        async with AsyncExitStack() as stack:
            tabs = [await stack.enter_async_context(visit(one.address)) for one in (server, two)]
            for tab in tabs:
                await tab.says(" · cpu")
                await trace(tab, SHORT)
            first, second = nodes(tabs[0])[1:3]
            await asyncio.gather(writes(tabs[0], first, "one"), writes(tabs[1], second, "two"))
            await choose(tabs[0], second)
            await choose(tabs[1], first)
            await shows_label(tabs[0], "two 5")
            await shows_label(tabs[1], "one 5")
            for tab in tabs:
                assert "locked" not in tab.text() and tab.troubles == []

    run(both())
    lab = Lab(url)
    viewer = lab.person("local", "looks", "Looks")
    labels = [
        [revision.body.text for revision in lab.history(r.id, viewer)] for r in lab.find("label", viewer, About())
    ]
    for name in ("one", "two"):
        assert [f"{name} {n}" for n in reversed(range(TIMES))] in labels
    lab.close()
    assert "traceback" not in (server.stop() + two.stop()).lower()
