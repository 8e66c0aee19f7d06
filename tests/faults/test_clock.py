"""The clock jumps back by hours and forward by days under a real server (Debian's libfaketime; it skips without)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.load import trace
from benchmarks.visitor import visit
from lab import About, Lab
from tests.faults.server import SHORT, Server, choose, label_shown, labelled, nodes

OTHERS = "w5 w6 w7", "w8 w9"
JUMPS = "-5h", "+3d"


def test_the_clock_jumps(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Traces end, versions keep their order, and a save is no conflict."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        pytest.skip("there is no libfaketime here (on Debian: apt-get install libfaketime)")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {"LD_PRELOAD": str(found), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    server = serve(**faked, FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_DISABLE_SHM="1")

    async def work() -> None:
        async with visit(server.address) as tab:
            await tab.says(" · cpu")
            key = await trace(tab, SHORT)
            node = nodes(tab)[0]
            await labelled(tab, node, "at first")
            for jump, prompt in zip(JUMPS, OTHERS, strict=True):
                clock.write_text(jump)
                await tab.go("")
                await trace(tab, prompt)
                await tab.go("graph", graph=key)
                await labelled(tab, node, f"after {jump}")
                await choose(tab, nodes(tab)[1])
                await choose(tab, node)
                assert label_shown(tab) == f"after {jump}"
            assert "in the meantime" not in tab.text() and tab.troubles == []

    asyncio.run(work())
    assert "Traceback" not in server.stop()
    lab = Lab(f"sqlite:///{server.home}/lab.sqlite")
    viewer = lab.person("local", "looks", "Looks")
    (label,) = lab.find("label", viewer, About())
    versions = lab.history(label.id, viewer)
    assert [version.body.text for version in versions] == ["after +3d", "after -5h", "at first"]
    hours = [(b.created - a.created).total_seconds() / 3600 for b, a in zip(versions, versions[1:], strict=False)]
    assert 76 < hours[0] < 78 and -5.1 < hours[1] < -4.9  # the clock did jump
    lab.close()
