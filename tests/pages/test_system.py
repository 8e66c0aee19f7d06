"""The System page in each of its states."""

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from cache import GraphCache
from service.monitor import MONITOR
from tests.pages.conftest import ROOT, Loading, button, open_page, ready, running, sound, texts, traced, until
from tracer import Cancelled
from tracer.dashboards.build import build
from ui.session import me


def said(app) -> str:
    return "\n".join(frame.value.to_csv() for frame in app.dataframe)


def test_while_the_model_loads(loading: Loading) -> None:
    loading.go.clear()
    app = open_page("pages/system.py")
    assert "state,loading" in said(app)


def test_after_a_failed_load(loading: Loading) -> None:
    loading.trouble = "there is no such model: choose another"
    running()
    until(lambda: running().model_state().state == "failed")
    app = open_page("pages/system.py")
    assert "state,failed" in said(app) and "there is no such model" in said(app)


def test_ready(loading: Loading) -> None:
    ready()
    app = open_page("pages/system.py")
    for words in ("state,ready", "neurons", "cpu", "0 running, 0 waiting", "streamlit,1.67.0", "HYPOGRAPH_MAX_TOKENS"):
        assert words in said(app), words
    assert "Gemma Terms of Use" in texts(app) and "Apache-2.0" in texts(app) and "MIT" in texts(app)


def test_a_page_that_streamlit_runs_without_the_app_is_run_again(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another tab has made this an app of today meanwhile."""
    again = []
    monkeypatch.setattr(st, "rerun", lambda: (again.append(True), st.stop()))
    app = AppTest.from_file(str(ROOT / "pages" / "system.py")).run()
    assert again and not app.title
    open_page("pages/system.py")
    assert len(again) == 1


def test_the_cache_can_be_cleared(loading: Loading) -> None:
    traced()
    app = open_page("pages/system.py")
    assert "graphs,1" in said(app)
    button(app, "Remove all graphs").click()
    sound(app.run())
    assert len(running().cache) == 0


def test_how_far_the_dashboards_are(loading: Loading) -> None:
    service = ready()
    assert "what features fire on,not collected" in said(open_page("pages/system.py"))
    model = service.model
    assert model is not None
    folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    rows = torch.randint(1, 50, (8, 32), generator=torch.Generator().manual_seed(0))

    def stop(_phase: str, share: float) -> None:
        if share >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        build(model, rows, folder, stop)
    assert "what features fire on,50% of the corpus read so far" in said(open_page("pages/system.py"))
    build(model, rows, folder)
    assert "what features fire on,collected" in said(open_page("pages/system.py"))


def test_what_is_set_is_shown(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_QUOTA_MB", "1")
    monkeypatch.setenv("HYPOGRAPH_MODELS_GB", "2")
    monkeypatch.setattr(MONITOR, "serve", lambda *_: None)
    monkeypatch.setattr(MONITOR, "problem", "port 9464 can't be used (Address already in use): set another")
    monkeypatch.setenv("HYPOGRAPH_METRICS_PORT", "9464")
    traced()
    app = open_page("pages/system.py")
    assert "HYPOGRAPH_METRICS_PORT,\"9464, but port 9464 can't be used" in said(app)
    assert {"Models in memory", "Disk, by person"} <= {heading.value for heading in app.subheader}
    assert "by all jobs" in said(app) and "Each may use 1 MB" in texts(app)
    assert "0.0,0.0" not in said(app) and "%" in said(app)


def test_who_has_no_quota_is_not_counted(loading: Loading) -> None:
    traced()
    app = open_page("pages/system.py")
    assert not {"Models in memory", "Disk, by person"} & {heading.value for heading in app.subheader}
    assert "HYPOGRAPH_QUOTA_MB,not set" in said(app) and "HYPOGRAPH_METRICS_PORT,not set" in said(app)
    app = open_page("pages/privacy.py")
    assert "not who asked" in texts(app) and "Your use of the disk" not in texts(app)


def test_privacy_shows_ones_own_use(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_QUOTA_MB", "1")
    monkeypatch.setenv("HYPOGRAPH_LOG_PROMPTS", "1")
    traced("w4 w9 w2")
    graphs = running().use_of(me()).graphs
    app = open_page("pages/privacy.py")
    assert graphs > 0 and f"**{graphs / 1e6:.1f} MB** of 1 MB" in texts(app)
    assert "w4 w9 w2" in said(app)
    assert "the number of who asked first" in texts(app) and "Prompts and titles too" in texts(app)


def test_at_the_quota_the_page_says_what_to_do(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_QUOTA_MB", "1")
    traced()
    monkeypatch.setattr(GraphCache, "used", lambda _self: {me().id: 5_000_000})
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9").run()
    button(app, "Trace").click()
    assert "you use 5.0 MB of the 1 MB that each person has here" in texts(sound(app.run()))
