"""A full disk, under a real server: it says so, nothing is half written, and it goes on once there is room."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.load import trace
from benchmarks.visitor import visit
from tests.faults.tabs import SHORT, choose, label, labelled, nodes, shows_label
from tests.serving import Server, run

OTHER = "w5 w6 w7"
PRIVATE = "unshare", "--mount", "--map-root-user"  # a mount that nobody else sees, gone with the process


def fill(folder: Path) -> None:
    with suppress(OSError), open(folder / "full", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_disk_full(serve: Callable[..., Server], tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=24m none {tmp_path}/home"
    try:
        subprocess.run([*PRIVATE, "mount", "-t", "tmpfs", "none", tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.skip(f"no disk of a chosen size can be mounted here ({problem})")
    server = serve(within=(*PRIVATE, "sh", "-c", f'{mount} && exec "$@"', "sh"))
    disk = Path(f"/proc/{server.process.pid}/root{server.home}")  # as the server sees it

    async def work() -> None:
        async with visit(server.address) as tab:
            await tab.says(" · cpu")
            key = await trace(tab, SHORT)
            node, another = nodes(tab)[:2]
            await labelled(tab, node, "before")
            files = {path for path in (disk / "cache").rglob("*.val")}
            fill(disk)
            await label(tab, node, "during " * 40)
            await tab.says("nothing was changed: database or disk is full")
            await tab.go("")
            in_memory = await trace(tab, OTHER)
            await tab.says("this graph could not be kept on disk: save it, or it is lost when the server restarts")
            assert {path for path in (disk / "cache").rglob("*.val")} == files
            (disk / "full").unlink()
            await tab.go("graph", graph=key)
            await choose(tab, node)
            await shows_label(tab, "before")
            await labelled(tab, another, "after")
            await tab.go("graph", graph=in_memory)
            assert nodes(tab) and tab.troubles == []

    run(work())
    assert "traceback" not in server.stop().lower()
