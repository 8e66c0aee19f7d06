"""The notebook and the page of one hypothesis, without a browser: on a tiny model, with a real record."""

from typing import Any

from streamlit.testing.v1 import AppTest

import ui.session
from lab import About, HypothesisBody, Record
from tests.lab.runs import tiny
from tests.pages.conftest import Loading, button, open_page, ready, running, sound, texts, until

PAGE = "pages/hypotheses.py"


def body(**changes: Any) -> HypothesisBody:
    """About the model of the pages, with a confirmatory claim that takes few controls."""
    model = ready().model
    assert model is not None
    prints = {"model_fingerprint": model.model_fingerprint, "basis_fingerprint": model.basis_fingerprint}
    return tiny.hypothesis(**({"model": model.name, "features": model.basis.name} | prints | changes))


def written(**changes: Any) -> Record[HypothesisBody]:
    return ui.session.get_lab().create(ui.session.me(), About(), body(**changes))


def again(app: AppTest) -> AppTest:
    return sound(app.run())


def wait_for_runs() -> None:
    until(lambda: running().jobs() and all(job.over for job in running().jobs()))


def test_from_a_draft_to_a_verdict(loading: Loading) -> None:
    record = written(model_fingerprint="", basis_fingerprint="")
    app = open_page(PAGE)
    assert "In no notebook" in texts(app) and "draft" in texts(app)
    button(app, "Tiny").click()
    again(app)
    assert "Two neurons lower w3." in texts(app)
    assert "Run as a draft" in [b.label for b in app.button]
    button(app, "Freeze it for good").click()
    again(app)
    lab, viewer = ui.session.get_lab(), ui.session.me()
    (freeze,) = lab.freezes(record.id, viewer)
    assert freeze.version == 2 and freeze.hash in texts(app) and "it holds" in texts(app)
    assert "runs with edits, about" in texts(app)
    button(app, "Run").click()
    again(app)
    wait_for_runs()
    again(app)
    assert "supported" in texts(app) or "refuted" in texts(app) or "inconclusive" in texts(app)
    assert "exploratory" not in texts(app).replace("whose runs are exploratory", "")
    (_run,) = lab.runs(viewer, freeze.hash)
    assert "9 of 9 prompts finished" in texts(app)
    listed = texts(open_page(PAGE))
    assert "finished" in listed
