"""The feature picker of the Trace page, with a real set of transcoders for the tiny model."""

import gc
import weakref
from pathlib import Path

import pytest

from service import TraceRequest
from tests.helpers import somebody, tiny_llama, transcoders
from tests.pages.conftest import Loading, button, open_page, ready, running, texts, traced, until


@pytest.fixture
def a_set(tmp_path: Path) -> str:
    return transcoders(tmp_path / "transcoders", tiny_llama(), activation="topk", skip=True).name


def choose(features: str) -> None:
    """As the picker's button does it: a typed set is no option that AppTest could choose (tests/browser types one)."""
    running().switch_model(running().model_state().name, features, somebody("me"))


def test_neurons_at_first(loading: Loading) -> None:
    ready()
    app = open_page()
    assert "MLP neurons" in texts(app)
    assert button(app, "Load it").disabled


def test_a_set_is_loaded_traced_and_left_again(loading: Loading, a_set: str) -> None:
    service = ready()
    choose(a_set)
    until(lambda: service.model is not None and service.model_state().features == a_set)
    assert service.model is not None
    basis = weakref.ref(service.model.basis)
    graph = service.graph(traced())
    assert graph is not None and graph.meta["features"] == a_set and graph.row_error < 1e-4
    app = open_page("pages/graph.py", graph=traced(), select=graph.ids[0])
    assert "Activation at each token" in texts(app)
    app = open_page()
    shown = [block.proto.popover.label.replace("\\", "") for block in app.get("popover")]
    assert "Features: …/transcoders" in shown
    ids = tuple(graph.token_ids)
    job = service.submit(TraceRequest(tokens=ids, max_nodes=20), somebody("me"))
    assert service.wait(job.id, 30).state == "done"
    app = open_page("pages/graph.py", graph=job.key)
    left_out = graph.layout.n_features - 20
    assert f"{left_out} active features were left out" in texts(app)
    choose("neurons")
    until(lambda: service.model is not None and service.model_state().features == "neurons")

    def gone() -> bool:
        gc.unfreeze()
        gc.collect()
        return basis() is None

    until(gone)  # nothing of the old set is kept
    neurons = running().graph(traced())
    assert neurons is not None and neurons.meta["features"] == "neurons"


def test_what_does_not_load_is_said_and_changes_nothing(loading: Loading) -> None:
    service = ready()
    choose("/no/such/folder")
    until(lambda: service.model_state().trouble is not None)
    app = open_page()
    assert "was not loaded" in texts(app) and "no transcoders" in texts(app)
    assert service.model is not None and service.model_state().features == "neurons"
