"""Faults as those see them who use the pages: in this process, on a small model and a real record."""

import shutil
import sqlite3
import time
from datetime import timedelta
from typing import Any

import pytest

import lab.lab as lab_clock
import ui.session
from service import JobState
from tests.lab.troubled import troubled
from tests.pages.conftest import Loading, button, loading, open_page, ready, running, sound, texts, tiny, traced, until

__all__ = ["loading", "tiny"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_thread_that_holds_the_model_dies(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job fails alone, the page says so, and another thread does the next one."""
    app = open_page()
    service = ready()
    model: Any = service.model
    real = type(model).trace

    def dies(*_: object, **__: object) -> None:
        raise SystemExit  # as a library's exit call does; no `except Exception` sees it

    monkeypatch.setattr(type(model), "trace", dies)
    app.text_input(key="prompt").set_value("w4 w9 w2")
    sound(app.run())
    button(app, "Trace").click()
    app.run()
    until(lambda: service.jobs()[0].over)
    assert "The trace failed: interrupted; run it again." in texts(sound(app.run()))
    monkeypatch.setattr(type(model), "trace", real)
    traced()
    assert [job.state for job in service.jobs()] == [JobState.DONE, JobState.FAILED]


def test_the_cache_folder_is_deleted_while_it_runs(loading: Loading) -> None:
    open_page()
    key, other = traced(), traced("w5 w6")
    service = running()
    shutil.rmtree(service.settings.cache)
    app = open_page("pages/graph.py", graph=key)
    assert "This graph is not in this machine's cache (any more). Trace its prompt again" in texts(app)
    assert service.graph(other) is None
    assert traced() == key
    service._shelf._latest.clear()
    assert service.graph(key) is not None  # from the disk
    assert "Recent graphs" in texts(open_page()) and len(service.cache) == 1


def test_sqlite_is_locked_by_another_program(loading: Loading) -> None:
    """Longer than one waits for it: the page says that nothing was changed, and the next try works."""
    open_page()
    key, lab = traced(), ui.session.get_lab()
    node = next(id for id in ready().graph(key).ids if id.startswith("0_"))  # type: ignore[union-attr]
    app = open_page("pages/graph.py", graph=key, select=node)
    other = sqlite3.connect(lab._engine.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with troubled(lab, "busy_timeout=20", "busy_timeout=10000"):
        app.text_input(key=f"label_{node}").set_value("lost")
        assert "nothing was changed: database is locked" in texts(sound(app.run()))
        other.rollback()
        app.text_input(key=f"label_{node}").set_value("kept")
        said = texts(sound(app.run()))
    assert "locked" not in said and [label.head.body.text for label in lab.find("label", ui.session.me())] == ["kept"]
    other.close()


@pytest.mark.parametrize("hours", [-5, 72])
def test_the_clock_jumps(loading: Loading, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Traces end, versions keep their order, a save is no conflict, and a cached graph stays.

    The clock is moved where this code and diskcache read it: under Debian's libfaketime 0.9.10 `time.sleep` fails.
    """
    open_page()
    key, lab = traced(), ui.session.get_lab()
    node = next(id for id in ready().graph(key).ids if id.startswith("0_"))  # type: ignore[union-attr]
    app = open_page("pages/graph.py", graph=key, select=node)
    app.text_input(key=f"label_{node}").set_value("first")
    sound(app.run())
    now, read = time.time, lab_clock._now
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    monkeypatch.setattr(lab_clock, "_now", lambda: read() + timedelta(hours=hours))
    other = traced("w5 w6")
    app.text_input(key=f"label_{node}").set_value("second")
    sound(app.run())
    assert app.text_input(key=f"label_{node}").value == "second" and "in the meantime" not in texts(app)
    (label,) = lab.find("label", ui.session.me())
    versions = lab.history(label.id, ui.session.me())
    assert [version.body.text for version in versions] == ["second", "first"]
    assert abs((versions[0].created - versions[1].created).total_seconds() / 3600 - hours) < 0.1
    service = running()
    service._shelf._latest.clear()
    assert all(service.graph(graph) is not None for graph in (key, other))
    said = texts(open_page("pages/system.py"))
    assert "-" not in "".join(line for line in said.splitlines() if " ago" in line)
