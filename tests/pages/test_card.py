"""The card of a feature: tried on a text, the same feature elsewhere, what it fires on and how far that is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from service import Service
from tests.helpers import saved, somebody, tiny_llama, transcoders
from tests.pages.conftest import Loading, open_page, ready, running, sound, texts, traced, until
from tracer import Cancelled, Graph
from tracer.dashboards import build as building
from tracer.interchange.feature_numbers import cantor
from ui.node_card import NO_MODEL


def card_of(key: str, node: int = 0) -> AppTest:
    return open_page("pages/graph.py", graph=key, select=graph_of(key).ids[node])


def graph_of(key: str) -> Graph:
    graph = running().graph(key)
    assert graph is not None
    return graph


def strip(app: AppTest, label: str) -> dict[str, Any] | None:
    """What a strip of tokens shows."""
    found = [json.loads(c.proto.json) for c in app.get("bidi_component") if "hypograph_token_strip" in str(c.proto)]
    return next((data for data in found if data["label"] == label), None)


def tried(app: AppTest) -> dict[str, Any] | None:
    return strip(app, "Activation of this feature at each token of your text")


def field(app: AppTest) -> Any:
    (found,) = [box for box in app.text_input if box.label == "Try on text"]
    return found


def places(app: AppTest) -> dict[str, Any]:
    """The button of each graph that has the feature too, by the graph's key."""
    found = {str(button.key): button for button in app.button if str(button.key).startswith("elsewhere_")}
    return {key.removeprefix("elsewhere_"): button for key, button in found.items()}


def test_a_text_shows_the_activation_at_each_of_its_tokens(loading: Loading) -> None:
    app = card_of(traced())
    assert tried(app) is None
    field(app).set_value("w7 w3 w3 w50")
    sound(app.run())
    model, layout = running().model, graph_of(traced()).layout
    assert model is not None
    ids = model.token_ids("w7 w3 w3 w50")
    expected = model.activations(model.record(ids), int(layout.layer[0]), int(layout.feature[0])).tolist()
    shown = tried(app)
    assert shown is not None and shown["values"] == pytest.approx(expected)
    assert shown["tokens"] == ["<bos>", "w7", "w3", "w3", "w50"] and shown["special"] == [0]
    peak = max(range(1, 5), key=lambda p: abs(expected[p]))
    assert f"Strongest: {expected[peak]:.3g} at {shown['tokens'][peak]} ({peak})" in texts(app)


def test_the_text_stays_for_the_next_feature(loading: Loading) -> None:
    key = traced()
    app = card_of(key)
    field(app).set_value("w7 w3")
    sound(app.run())
    first = tried(app)
    layout = graph_of(key).layout
    other = next(i for i in range(layout.n_features) if layout.layer[i] == 2)
    for node in (layout.first_logit, other):  # a logit's card has no such field
        app.query_params["select"] = graph_of(key).ids[node]
        sound(app.run())
    assert field(app).value == "w7 w3"
    second = tried(app)
    assert first is not None and second is not None and first["values"] != second["values"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("   ", "nothing but white space"),
        (" ".join(["w1"] * 30), "31 tokens; the limit is 20 (HYPOGRAPH_MAX_TOKENS)"),
        ("x" * 4001, "4,001 characters; the limit is 4,000"),
    ],
)
def test_a_text_that_cannot_be_tried_says_why(
    loading: Loading, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setenv("HYPOGRAPH_MAX_TOKENS", "20")
    app = card_of(traced())
    field(app).set_value(text)
    sound(app.run())
    (warning,) = app.warning
    assert message in warning.value.replace("\\", "") and tried(app) is None


def test_the_same_feature_at_other_tokens_and_in_other_graphs(loading: Loading) -> None:
    key, other, third = traced("w4 w9 w2"), traced("w4 w9 w2 w2 w30"), traced("w11 w12")
    layout, theirs = graph_of(key).layout, graph_of(other)
    node = 5
    layer, feature = int(layout.layer[node]), int(layout.feature[node])
    app = card_of(key, node)
    (table,) = [frame.value for frame in app.dataframe if "this" in frame.value.columns]
    same = (layout.layer == layer) & (layout.feature == feature)
    assert table["position"].tolist() == layout.position[same].tolist() and same.sum() > 1
    assert table["position"][table["this"]].tolist() == [layout.position[node]]
    found = places(app)
    assert set(found) == {other, third}
    here = np.flatnonzero((theirs.layout.layer == layer) & (theirs.layout.feature == feature))
    strongest = here[np.abs(theirs.activation[here]).argmax()]
    label = found[other].label.replace("\\", "")
    assert label.startswith(f"{theirs.activation[strongest]:.3g} at ") and "w4 w9 w2 w2 w30" in label
    found[other].click()
    sound(app.run())
    assert app.query_params["graph"] == other and app.query_params["select"] == theirs.ids[strongest]
    assert key in places(app) and other not in places(app)


def test_a_graph_of_other_features_is_no_place_elsewhere(loading: Loading, tmp_path: Path) -> None:
    service, key = ready(), traced()
    service.switch_model(service.model_state().name, transcoders(tmp_path / "set", tiny_llama()).name, somebody("me"))
    until(lambda: service.model is not None and service.model_state().features != "neurons")
    traced()
    assert places(card_of(key)) == {}
    assert "None of the latest graphs of this model and its features has it" in texts(card_of(key))


def half_built(service: Service) -> None:
    model = service.model
    assert model is not None
    rows = torch.randint(1, 50, (8, 128), generator=torch.Generator().manual_seed(0))
    rows[:, 0] = 0

    def stop(_phase: str, share: float) -> None:
        if share >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
        building.build(model, rows, folder, stop)


def same_model(folder: Path) -> str:
    """The weights of the service's model in another place."""
    return str(saved(tiny_llama(), folder / "same"))


def lines_that_follow(app: AppTest) -> list[str]:
    """Of the card, what is drawn anew by itself while something is under way."""
    said = [c.value.partition(": ")[2] for c in app.caption if "hourglass_empty" in c.value]
    return [text.removeprefix(NO_MODEL).strip() for text in said]


def test_while_the_model_loads_the_card_waits_for_it(loading: Loading, tmp_path: Path) -> None:
    key = traced()
    service = running()
    loading.go.clear()
    service.switch_model(same_model(tmp_path), "neurons", somebody("me"))
    until(lambda: service.model_state().state == "loading")
    app = card_of(key)
    (line,) = lines_that_follow(app)
    assert "need the model of this graph, which is not loaded" in texts(app)
    assert line.replace("\\", "") == f"{tmp_path / 'same'} is being loaded."
    loading.go.set()
    ready()
    app = card_of(key)
    assert lines_that_follow(app) == [] and "What it says" in texts(app) and "which is not loaded" not in texts(app)


def test_a_model_that_does_not_load_is_not_waited_for(loading: Loading, tmp_path: Path) -> None:
    key = traced()
    loading.trouble = "no such weights"
    service = running()
    service.switch_model(same_model(tmp_path), "neurons", somebody("me"))
    until(lambda: service.model_state().state == "failed")
    app = card_of(key)
    assert lines_that_follow(app) == [] and "which is not loaded" in texts(app)


def test_how_far_the_dashboards_are_follows_while_they_are_built(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, service = traced(), running()
    monkeypatch.setattr(service, "collects_dashboards", lambda: True)
    assert lines_that_follow(card_of(key)) == ["What it fires on will be collected while nothing else is to be done."]
    monkeypatch.setattr(service, "dashboards", lambda: 0.25)
    app = card_of(key)  # nothing is saved yet
    assert lines_that_follow(app) == ["25% of the corpus read so far."] and not app.get("vega_lite_chart")
    half_built(service)
    app = card_of(key)
    assert lines_that_follow(app) == ["25% of the corpus read so far."] and app.get("vega_lite_chart")
    monkeypatch.setattr(service, "dashboards", lambda: 1.0)
    monkeypatch.setattr(service, "collects_dashboards", lambda: False)
    app = card_of(key)
    assert lines_that_follow(app) == [] and app.get("vega_lite_chart")


def test_what_it_fires_on_says_how_far_it_is(loading: Loading) -> None:
    key = traced()
    assert "python -m tracer dashboards" in texts(card_of(key))
    half_built(running())
    app = card_of(key)
    assert "What it fires on" in texts(app) and "50% of the corpus read so far" in texts(app)
    assert "Active at 100.00% of tokens" in texts(app)
    assert len(app.get("vega_lite_chart")) == 1
    (kinds,) = [group for group in app.get("button_group") if "Of each size" in str(group.proto)]
    assert "Largest" in str(kinds.proto) and "Most negative" in str(kinds.proto)
    labels = [json.loads(c.proto.json)["label"] for c in app.get("bidi_component") if "token_strip" in str(c.proto)]
    assert len([label for label in labels if label.startswith("example, peak ")]) == 4


def test_a_set_that_comes_with_examples_shows_them(loading: Loading, tmp_path: Path) -> None:
    service, files = ready(), transcoders(tmp_path / "set", tiny_llama())
    service.switch_model(service.model_state().name, files.name, somebody("me"))
    until(lambda: service.model is not None and service.model_state().features == files.name)
    key = traced()
    layout = graph_of(key).layout
    layer, feature = int(layout.layer[0]), int(layout.feature[0])
    assert "In the set's own files" not in texts(card_of(key))
    example = {"tokens": ["a ", "<b>", "c"], "tokens_acts_list": [0.0, 2.5, 0.5]}
    record = {
        "examples_quantiles": [
            {"quantile_name": "Top Activations", "examples": [example]},
            {"quantile_name": "Subsample Interval 0", "examples": []},
        ],
        "top_logits": [" yes"],
        "bottom_logits": ["no*"],
        "activation_frequency": 0.0125,
    }
    folder = tmp_path / "set" / "features"
    folder.mkdir()
    path = folder / f"{cantor(layer, feature)}.json"
    path.write_text(json.dumps(record))
    app = card_of(key)
    assert "In the set's own files" in texts(app) and "Active at 1.25% of its authors' tokens" in texts(app)
    assert "Raises: ␣yes" in texts(app) and "Lowers: no*" in texts(app)
    shown = strip(app, "example 1 of Top Activations")
    assert shown is not None and shown["tokens"][1] == "<b>" and shown["values"] == [0.0, 2.5, 0.5]
    path.write_text("{}")
    assert "examples_quantiles: Field required" in texts(card_of(key))
