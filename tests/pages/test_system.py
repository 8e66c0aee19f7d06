"""The System page in each of its states."""

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import ROOT, Loading, button, open_page, ready, running, sound, texts, traced, until
from tracer import Cancelled
from tracer.dashboards.build import build


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
