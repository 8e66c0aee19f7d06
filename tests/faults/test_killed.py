"""kill -9 of the server while it traces."""

import asyncio
from collections.abc import Callable

from benchmarks.load import trace
from benchmarks.visitor import visit
from tests.faults.server import SHORT, Server, label_shown, labelled, nodes

LONG = " ".join(f"w{i % 50}" for i in range(200))
AT_IT = "choosing features", "tracing direct effects"


def test_killed_while_it_traces(serve: Callable[..., Server]) -> None:
    """What was shown as saved is there, and one click runs again what was not traced."""
    server = serve()

    async def before() -> tuple[str, str]:
        async with visit(server.address) as tab:
            await tab.says(" · cpu")
            key = await trace(tab, SHORT)
            node = nodes(tab)[0]
            await labelled(tab, node, "kept")
            await tab.go("")
            runs = tab.runs
            await tab.type("Prompt", LONG)
            await tab.until(lambda: tab.runs > runs and not tab.running and tab.has_button("Trace"))
            await tab.click("Trace")
            await tab.until(lambda: any(words in tab.text() for words in AT_IT))
            server.kill()
            await tab.until(lambda: not tab.connected)
            return key, node

    async def after(key: str, node: str) -> None:
        async with visit(f"{server.address}/graph?graph={key}&select={node}") as tab:
            assert label_shown(tab) == "kept"
            await tab.go("")
            assert "w0 w1 w2" in tab.text() and "was not traced: the server stopped before." in tab.text()
            await tab.says(" · cpu")
            await tab.click("Run again")
            await tab.until(lambda: any(words in tab.text() for words in AT_IT))
            await tab.until(lambda: tab.page == "graph")
            await tab.go("")
            assert "was not traced" not in tab.text() and tab.troubles == []

    key, node = asyncio.run(before())
    server.start()
    asyncio.run(after(key, node))
    assert "Traceback" not in server.stop()
