"""Two graphs side by side, without a browser: what is said of them, filters, and what can't be compared."""

from typing import Any

import pandas as pd
import pytest

import ui.session
from lab import About, LabelBody
from tests.helpers import somebody
from tests.pages.conftest import Loading, open_page, running, sound, texts, traced
from tests.tracer.interchange.cases import ONE, case
from tracer.graph.compare import compare_features
from tracer.interchange import neuronpedia


def table(app: Any) -> pd.DataFrame:
    """The features, with names of columns as on the page."""
    (found,) = [frame.value for frame in app.dataframe if "feature" in frame.value and "in" in frame.value]
    return found


def pair() -> tuple[str, str, pd.DataFrame]:
    left, right = traced("w4 w9 w2 w5", max_nodes=60), traced("w7 w9 w2", max_nodes=60)
    graphs = [running().graph(key) for key in (left, right)]
    return left, right, compare_features(*graphs)


def test_the_address_opens_both_with_counts_targets_scores_and_features(loading: Loading) -> None:
    left, right, expected = pair()
    app = open_page("pages/library.py", left=left, right=right)
    assert app.title[0].value == "Two graphs compared"
    counts = {metric.label: metric.value for metric in app.metric}
    where = expected["where"].value_counts()
    assert counts["Shared features"] == str(where["both"]) and counts["Only left"] == str(where["left"])
    assert counts["Only right"] == str(where["right"])
    shown = table(app)
    assert len(shown) == len(expected) and set(shown["in"]) == {"shared", "only left", "only right"}
    first = expected.iloc[0]
    assert shown["feature"][0] == f"L{first['layer']} · {first['feature']}"
    assert shown["change"][0] == pytest.approx(100 * first["change"])
    assert shown["activation right"][0] == pytest.approx(first["activation_right"], nan_ok=True)
    (scores,) = [frame.value for frame in app.dataframe if "score" in frame.value]
    graph = running().graph(right)
    assert graph is not None and scores["score"].tolist() == ["Replacement", "Completeness"]
    assert scores["right"][0] == pytest.approx(graph.scores().replacement)
    (targets,) = [frame.value for frame in app.dataframe if "target" in frame.value]
    assert targets["right"].sum() == pytest.approx(100 * sum(t.probability for t in graph.targets))
    sums = [sum(t.weight for t in g.targets) for key in (left, right) if (g := running().graph(key))]
    assert f"which sum to {sums[0]:.1%} and {sums[1]:.1%}" in texts(app)
    assert "its influence is the sum over them, its activation that of the most influential one" in texts(app)


def test_filters_and_search(loading: Loading) -> None:
    left, right, expected = pair()
    app = open_page("pages/library.py", left=left, right=right)
    app.segmented_control(key="diff_where").set_value("only right")
    sound(app.run())
    assert len(table(app)) == (expected["where"] == "right").sum() and set(table(app)["in"]) == {"only right"}
    app.segmented_control(key="diff_where").set_value(None)
    app.slider(key="diff_layers").set_value((1, 1))
    sound(app.run())
    assert len(table(app)) == (expected["layer"] == 1).sum() > 0
    app.slider(key="diff_layers").set_value((0, 2))
    one = expected.iloc[2]
    app.text_input(key="diff_search").set_value(f"{one['layer']}/{one['feature']}")
    sound(app.run())
    assert f"L{one['layer']} · {one['feature']}" in table(app)["feature"].tolist() and len(table(app)) < 10
    app.text_input(key="diff_search").set_value("no such thing")
    sound(app.run())
    assert f"0 of {len(expected)} features" in texts(app)


def test_a_label_is_shown_and_found_whichever_graph_has_the_feature(loading: Loading) -> None:
    left, right, expected = pair()
    graph = running().graph(right)
    assert graph is not None
    only = expected[expected["where"] == "right"].iloc[0]
    about = About(
        model=graph.meta["model_fingerprint"],
        basis=graph.meta["basis_fingerprint"],
        layer=int(only["layer"]),
        feature=int(only["feature"]),
    )
    ui.session.get_lab().create(ui.session.me(), about, LabelBody(text="<b>Ball</b> games"))
    app = open_page("pages/library.py", left=left, right=right)
    app.text_input(key="diff_search").set_value("ball games")
    sound(app.run())
    assert table(app)[["feature", "label"]].values.tolist() == [
        [f"L{only['layer']} · {only['feature']}", "<b>Ball</b> games"]
    ]


def test_a_graph_that_is_not_there_is_said(loading: Loading) -> None:
    key = traced()
    app = open_page("pages/library.py", left=key, right="<b>0</b>")
    assert [error.value for error in app.error] == [
        "The graph on the right is not in this machine's cache (any more): trace its prompt again."
    ]
    assert not app.dataframe


def test_graphs_of_different_models_are_one_line(loading: Loading) -> None:
    key = traced()
    foreign, _ = neuronpedia.load(case(ONE).json_file)
    running().keep_graph("f" * 64, foreign, somebody("me"))
    app = open_page("pages/library.py", left=key, right="f" * 64)
    (error,) = app.error
    assert error.value.startswith("Not compared: the graphs are of different models") and "\n" not in error.value
    assert not app.metric and not app.dataframe
