"""The Graph page in each of its states."""

import pytest

from service import Service
from tests.helpers import somebody
from tests.pages.conftest import Loading, button, open_page, ready, running, sound, texts, traced, until
from ui.graph_payload import graph_view


def test_no_graph(loading: Loading) -> None:
    ready()
    app = open_page("pages/graph.py")
    assert "No graph is open" in texts(app)
    assert "None yet" in texts(app)


@pytest.mark.parametrize("key", ["0" * 64, "../../etc/passwd", "<b>x</b>", "x" * 5000, "\x00"])
def test_unknown_graph(loading: Loading, key: str) -> None:
    ready()
    app = open_page("pages/graph.py", graph=key)
    assert "not in this machine's cache" in app.error[0].value


def test_a_graph(loading: Loading) -> None:
    key = traced()
    app = open_page("pages/graph.py", graph=key)
    assert "Attribution graph" in texts(app)
    assert "No node selected" in texts(app)
    assert [s.value for s in app.slider] == [0.8, 0.98]


def test_every_kind_of_node_has_a_card(loading: Loading) -> None:
    key = traced()
    graph = running().graph(key)
    assert graph is not None
    layout = graph.layout
    chosen = [0, layout.n_features, layout.first_embedding, layout.first_logit, layout.first_bias, layout.n_nodes - 1]
    for node in chosen:
        app = open_page("pages/graph.py", graph=key, select=graph.ids[node])
        assert "No node selected" not in texts(app)
        assert len(app.dataframe) >= 1


@pytest.mark.parametrize("select", ["<b>x</b>", "999_999_999", ""])
def test_unknown_selection_is_ignored(loading: Loading, select: str) -> None:
    app = open_page("pages/graph.py", graph=traced(), select=select)
    assert "No node selected" in texts(app)


def test_thresholds_prune_again(loading: Loading) -> None:
    app = open_page("pages/graph.py", graph=traced())
    before = [c.value for c in app.caption if "edges kept" in c.value]
    app.slider(key="nodes").set_value(0.3)
    sound(app.run())
    after = [c.value for c in app.caption if "edges kept" in c.value]
    assert len(before) == len(after) == 1 and before != after


def test_the_sidebar_leads_from_a_graph_to_another_and_the_address_follows(loading: Loading) -> None:
    """By a button: the browser keeps the address where a page is linked from itself."""
    ready()
    first, second = traced(), traced("w5 w6 w7")
    app = open_page("pages/graph.py", graph=first, select="0_1_1", nodes="0.7")
    (job,) = [job for job in running().jobs() if job.key == second]
    app.session_state["known_jobs"] = {job.id: job.state}
    sound(app.run())
    button(app, "Open: w5 w6 w7").click()
    sound(app.run())
    assert app.query_params["graph"] in (second, [second]) and "select" not in app.query_params
    assert app.session_state["opened_graph"] == second


def test_scores_of_what_pruning_keeps_stand_beside_the_whole_graphs(loading: Loading) -> None:
    key = traced()
    graph = running().graph(key)
    assert graph is not None
    view = graph_view("a key of its own", graph, 0.8, 0.98)
    replacement, completeness = view.scores
    assert (
        f"What is kept alone: replacement {replacement:.3f} (whole graph {graph.scores().replacement:.3f}),"
        f" completeness {completeness:.3f} ({graph.scores().completeness:.3f})."
    ) in texts(open_page("pages/graph.py", graph=key))


def test_without_its_model_the_graph_still_opens(loading: Loading) -> None:
    key = traced()
    service: Service = running()
    graph = service.graph(key)
    assert graph is not None
    loading.go.clear()
    service.switch_model(
        "another", "neurons", somebody("me")
    )  # the worker unloads this one and waits at the brake for that
    until(lambda: service.model is None)
    app = open_page("pages/graph.py", graph=key, select=graph.ids[0])
    assert "need the model of this graph, which is not loaded" in texts(app)
