"""Publishing from the graph page: only with a key, said beforehand, asked for, and the key is nowhere on the page."""

import gzip
import json
from collections.abc import Iterator

import pytest

import ui.session
from lab import About, LabelBody
from tests.pages.conftest import Loading, button, open_page, running, sound, texts, traced
from tests.service.test_upload import StandIn, site

__all__ = ["site"]
KEY = "s3cret-key"


@pytest.fixture
def with_key(site: StandIn, loading: Loading, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("NEURONPEDIA_API_KEY", KEY)
    monkeypatch.setenv("HYPOGRAPH_NEURONPEDIA", site.address)
    yield site


def test_without_a_key_there_is_no_upload(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURONPEDIA_API_KEY", raising=False)
    app = open_page("pages/graph.py", graph=traced())
    assert not [b for b in app.button if b.label == "Upload"] and "Sent to" not in texts(app)


def test_says_what_is_sent_asks_and_sends_it(with_key: StandIn) -> None:
    key = traced("w4 w9 w2")
    graph = running().graph(key)
    assert graph is not None
    node = graph.ids[int(graph.influence[: graph.layout.n_features].argmax())]
    layer, feature, _ = map(int, node.split("_"))
    about = About(
        model=graph.meta["model_fingerprint"], basis=graph.meta["basis_fingerprint"], layer=layer, feature=feature
    )
    ui.session.get_lab().create(ui.session.me(), about, LabelBody(text="ask ann@lab.org"))
    app = open_page("pages/graph.py", graph=key)
    assert "w4 w9 w2" in texts(app) and f"Sent to {with_key.address.removeprefix('http://')}" in texts(app)
    assert "the labels, pins and groups" in texts(app) and "Anybody with the link can read it." in texts(app)
    assert button(app, "Upload").disabled
    app.text_input(key=f"upload_slug_hypograph-{key[:8]}").set_value("a-graph")
    app.text_input(key=f"upload_scan_hypograph-{key[:8]}").set_value("tiny")
    app.checkbox(key=f"upload_agreed_hypograph-{key[:8]}").set_value(True)
    sound(app.run())
    assert with_key.seen == []
    button(app, "Upload").click()
    sound(app.run())
    assert "Uploaded." in texts(app)
    (link,) = [element.proto.url for element in app.get("link_button")]
    assert link == f"{with_key.address}/tiny/graph?slug=a-graph"
    app.query_params["graph"] = traced("w7 w7")
    sound(app.run())
    assert button(app, "Upload").disabled and "Uploaded." not in texts(app)  # nobody agreed for this one
    (sent,) = [gzip.decompress(body) for method, _, _, body in with_key.seen if method == "PUT"]
    document = json.loads(sent)
    assert document["metadata"]["scan"] == "tiny" and document["metadata"]["prompt"] == "w4 w9 w2"
    said = [n["clerp"] for n in document["nodes"] if n["feature_type"] == "cross layer transcoder" and n["clerp"]]
    assert said and set(said) == {"ask (e-mail left out)"}
    assert KEY not in str(app) and KEY not in open_page("pages/system.py").dataframe[-1].value.to_csv()


def test_what_the_site_refuses_is_one_line(with_key: StandIn) -> None:
    with_key.answers["/api/graph/signed-put"] = (400, b'{"message": "<b>Model + Slug Exists</b>"}')
    key = traced()
    app = open_page("pages/graph.py", graph=key)
    app.checkbox(key=f"upload_agreed_hypograph-{key[:8]}").set_value(True)
    sound(app.run())
    button(app, "Upload").click()
    sound(app.run())
    (error,) = app.error
    assert error.value.startswith("Not uploaded: ") and "\\<b\\>Model" in error.value
    app.text_input(key=f"upload_slug_hypograph-{key[:8]}").set_value("no slug/at all")
    button(app, "Upload").click()
    sound(app.run())
    assert "the slug" in app.error[0].value
