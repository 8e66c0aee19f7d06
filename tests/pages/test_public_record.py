"""What Neuronpedia says of a feature, in its card: asked for by a button, marked, safe, and there again offline."""

import json
import threading
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from service import public_records
from tests.helpers import somebody
from tests.pages.conftest import Loading, button, open_page, running, sound, texts, traced, until
from tests.pages.test_card import graph_of, strip
from tests.service.test_public_records import SET, answer
from tests.service.test_upload import StandIn, site

__all__ = ["site"]
KEY = "s3cret-key"
NASTY = "<script>alert(1)</script> [x](javascript:alert(1))"


@pytest.fixture
def with_key(site: StandIn, loading: Loading, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("NEURONPEDIA_API_KEY", KEY)
    monkeypatch.setenv("HYPOGRAPH_NEURONPEDIA", site.address)
    yield site


def published() -> tuple[str, str]:
    """A graph that says that it is of a set that Neuronpedia has: its key, and the path of its first feature there."""
    graph = graph_of(traced())
    graph.meta.update(model="gemma-2-2b", features="mntss/gemma-scope-transcoders")
    running().keep_graph("a" * 64, graph, somebody("me"))
    layer, feature = int(graph.layout.layer[0]), int(graph.layout.feature[0])
    return "a" * 64, f"/api/feature/gemma-2-2b/{layer}-{SET}/{feature}"


def card(key: str) -> AppTest:
    return open_page("pages/graph.py", graph=key, select=graph_of(key).ids[0])


def has(app: AppTest, label: str) -> bool:
    return any(b.label == label for b in app.button)


def answers(site: StandIn, path: str, **changes: object) -> None:
    *_, layer, index = path.split("/")
    site.answers[path] = (200, json.dumps(answer(layer=layer, index=index, **changes)).encode())


def read(app: AppTest, label: str = "Read from Neuronpedia") -> AppTest:
    """Press it; as the card is afterwards."""
    button(app, label).click()
    sound(app.run())
    until(lambda: not running().public_records._reading)
    return sound(app.run())


def test_it_is_asked_for_shown_and_there_again(with_key: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    key, path = published()
    answers(with_key, path, explanations=[{"description": NASTY, "explanationModelName": "gpt-4o"}])
    app = card(key)
    assert with_key.seen == [] and "From 127.0.0.1" not in texts(app)
    app = read(app)
    assert [(method, where) for method, where, _, _ in with_key.seen] == [("GET", path)]
    host = with_key.address.removeprefix("http://")
    assert f"From {host}, gemma-2-2b {path.split('/')[-2]} {path.split('/')[-1]}. Active at 0.31%" in texts(app)
    assert f"“{NASTY}” (gpt-4o)" in texts(app)
    (said,) = [c.value for c in app.caption if "gpt" in c.value]
    assert "\\<script\\>" in said and "\\[x\\]\\(" in said  # Markdown shows it as it is
    (table,) = [f.value for f in app.dataframe if "<script>" in f.value.get("raises", []).__str__()]
    assert table["raises"].tolist() == ["␣Texas", "<script>"] and table["by"].tolist() == [1.5, 1.25]
    shown = strip(app, f"example of {host}, peak 9")
    assert shown is not None and shown["values"][4] == 9.0 and shown["tokens"][0] == "␣t0"
    (link,) = [element.proto.url for element in app.get("link_button")]
    assert link == with_key.address + path.removeprefix("/api/feature")
    assert KEY not in str(app)
    read(app, "Read it again")
    assert len(with_key.seen) == 2
    with_key.answers.clear()
    monkeypatch.delenv("NEURONPEDIA_API_KEY")
    assert strip(card(key), f"example of {host}, peak 9") is not None


@pytest.mark.parametrize(
    ("status", "message"), [(404, "Not read: Neuronpedia does not have this feature."), (401, "refused the key")]
)
def test_what_goes_wrong_is_one_line(with_key: StandIn, status: int, message: str) -> None:
    key, path = published()
    with_key.answers[path] = (status, b"<script>")
    app = read(card(key))
    (warning,) = app.warning
    assert message in warning.value.replace("\\", "")
    answers(with_key, path)
    app = read(app)
    assert not app.warning and "Texas and its cities" in texts(app)


def test_while_it_is_read_the_card_says_so(with_key: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    key, path = published()
    go, real = threading.Event(), public_records.fetch
    monkeypatch.setattr(public_records, "fetch", lambda *more: go.wait(20) and real(*more))
    answers(with_key, path)
    app = card(key)
    button(app, "Read from Neuronpedia").click()
    sound(app.run())
    assert "Reading from 127.0.0.1" in texts(app) and not has(app, "Read from Neuronpedia")
    go.set()
    until(lambda: not running().public_records._reading)
    assert "Texas and its cities" in texts(sound(app.run()))


def test_features_that_are_not_there_have_no_button(
    with_key: StandIn, loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    neurons = traced("w7 w3")
    assert "On Neuronpedia" not in texts(open_page("pages/graph.py", graph=neurons, select=graph_of(neurons).ids[0]))


def test_without_a_key_there_is_nothing(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURONPEDIA_API_KEY", raising=False)
    key, _ = published()
    assert "On Neuronpedia" not in texts(card(key))
