"""The Compare page, on a real service with a tiny random model."""

import csv
import io
import json
from html.parser import HTMLParser

import pytest
import torch
from streamlit.testing.v1 import AppTest

from lab import About, SteeringBody
from service import Service
from tests.helpers import PROMPT
from tests.pages.conftest import open_page, ready, sound, texts, traced
from tracer import Edit, Sampling
from tracer.steering.compare import Case, compare
from ui.compare_html import as_html
from ui.compare_sheet import Sheet, words_table
from ui.export_menu import as_csv
from ui.session import get_lab, me

pytestmark = pytest.mark.usefixtures("loading")
OTHER = "w4 w9 w2"
HOSTILE = "<script>alert(1)</script> **b** [x](y) :red[z]"


def saved_run(service: Service, **change: object) -> str:
    model = service.model
    assert model is not None
    body = SteeringBody(
        title=HOSTILE,
        prompt=PROMPT,
        tokens=tuple(model.token_ids(PROMPT)),
        model=model.name,
        model_fingerprint=model.model_fingerprint,
        basis_fingerprint=model.basis_fingerprint,
        rows=(
            {
                "name": "r",
                "nodes": [{"layer": 1, "position": 8, "feature": 7}],
                "unit": "value",
                "amount": 5.0,
                "onward": True,
            },
        ),
        protocol="free",
    )
    return get_lab().create(me(), About(), body.model_copy(update=change)).id


def page(*columns: str, **query: str) -> AppTest:
    return open_page("pages/compare.py", column=list(columns), **query)  # type: ignore[arg-type]


def sheet(app: AppTest) -> Sheet:
    return app.session_state["compared"][1]


def words(app: AppTest) -> list[list[dict]]:
    """What the component of each column was given."""
    parts = [element.proto for element in app.get("bidi_component")]
    return [json.loads(p.json)["words"] for p in parts if p.component_name == "hypograph_compare_text"]


def test_an_empty_page_says_what_to_do_and_two_prompts_are_compared() -> None:
    open_page()
    service = ready()
    app = open_page("pages/compare.py")
    assert "Column 1: type a prompt" in texts(app) and not app.error
    app.button(key="compare_go").click().run()
    assert len(sound(app).error) == 2
    app.text_area(key="compare_prompt_0_0").set_value(PROMPT)
    app.text_area(key="compare_prompt_0_1").set_value(OTHER).run()
    assert "Press Compare" in texts(sound(app))
    app.number_input(key="compare_n_0").set_value(4).run()
    app.button(key="compare_go").click().run()
    sound(app)
    assert app.query_params["column"] == [f"prompt:{PROMPT}", f"prompt:{OTHER}"] and app.query_params["n"] == "4"
    cases = [Case(service.model, tuple(service.model.token_ids(text))) for text in (PROMPT, OTHER)]
    found = compare(cases, [[t.id for t in case.generate(4)] for case in cases])
    first, second = sheet(app).columns
    assert second.kl == found[1].kl and second.perplexity_first == found[1].perplexity_first
    assert [w.change for w in second.words] == [said.change for said in found[1].said]
    (table,) = [frame.value for frame in app.dataframe if "KL next" in frame.value]
    top = int(found[0].logits.argmax())
    assert table["probability"].tolist() == pytest.approx([100 * float(f.probabilities[top]) for f in found])
    assert table["rank"].tolist() == [f.rank(top) for f in found] and table["KL next"][1] == found[1].kl_next
    assert table["Δ logit"][1] == pytest.approx(found[1].demeaned(top) - found[0].demeaned(top))
    shown = words(app)
    assert [len(column) for column in shown] == [len(first.words), len(second.words)]
    assert {word["differs"] for word in shown[0]} == {False} and {word["sign"] for word in shown[0]} == {0}
    assert any(word["sign"] for word in shown[1]) and len(shown[1][0]["alternatives"]) == 5
    app.text_area(key="compare_prompt_0_1").set_value("w4").run()
    assert "have changed since" in texts(sound(app)) and sheet(app).columns[1].prompt == OTHER


def test_a_saved_run_beside_its_baseline_by_a_link_with_sampling() -> None:
    open_page()
    service = ready()
    run = saved_run(service)
    app = page(f"prompt:{PROMPT}", f"run:{run}", n="5", t="0.9", seed="7")
    model = service.model
    ids = tuple(model.token_ids(PROMPT))
    edits = (Edit(1, slice(8, None), 7, value=5.0),)
    for case, column in zip((Case(model, ids), Case(model, ids, edits, "free")), sheet(app).columns, strict=True):
        said = list(case.generate(5, Sampling(0.9, seed=7)))
        assert [word.token for word in column.words] == [model.token_text(t.id) for t in said]
        assert [word.logprob for word in column.words] == pytest.approx([t.logprob for t in said], abs=1e-3)
    assert "alert(1)" in texts(app) and all("<script>" not in m.value for m in app.markdown)
    assert "(free)" in texts(app)
    app.button(key="compare_add").click().run()
    app.button(key="compare_go").click().run()
    assert len(sheet(sound(app)).columns) == 3 and app.query_params["column"][2] == f"prompt:{PROMPT}"
    app.button(key="compare_out_1_1").click().run()
    app.button(key="compare_go").click().run()
    assert [column.kl_next for column in sheet(sound(app)).columns] == [0.0, 0.0]


def test_what_this_tab_steers_is_a_column_and_bad_columns_say_why() -> None:
    open_page()
    service = ready()
    run = saved_run(service)
    app = open_page("pages/steer.py", run=run)
    app.switch_page("pages/compare.py")
    app.run()
    assert [c.kind for c in sound(app).session_state["comparison"].columns] == ["prompt", "tab"]
    assert app.text_area(key="compare_prompt_0_0").value == PROMPT, "of the Steer page"
    app.button(key="compare_go").click().run()
    assert sheet(sound(app)).columns[1].kl_next > 0
    filled = page("prompt:", f"run:{run}", n="2")
    assert filled.text_area[0].value == PROMPT and sheet(filled).columns[1].kl_next > 0
    before = service.model.record([0, 5]).logits
    foreign = saved_run(service, basis_fingerprint="another")
    for column, says in (
        ("run:nothing", "can't be opened"),
        (f"run:{foreign}", "another model"),
        ("run:", "choose a saved run"),
        ("tab", "nothing is steered there"),
        ("prompt:" + "w1 " * 600, "the limit is 512"),
    ):
        other = page("prompt:w1", column, n="nan", t="-3", seed="x")
        assert says in texts(other) and other.error and other.session_state["comparison"].n_tokens == 20
    assert torch.equal(service.model.record([0, 5]).logits, before)
    long = page("prompt:" + "w1 " * 250, "prompt:w2", n="20")
    assert "window of 256" in texts(long)


def test_files_hold_the_figures_and_every_text_is_escaped() -> None:
    open_page()
    service = ready()
    app = page(f"prompt:=1+1 {HOSTILE}", f"run:{saved_run(service)}", n="3")
    found = sheet(app)
    rows = list(csv.DictReader(io.StringIO(as_csv(words_table(found)).decode())))
    assert len(rows) == sum(len(column.words) for column in found.columns)
    assert float(rows[-1]["logprob"]) == pytest.approx(found.columns[1].words[-1].logprob)
    assert not any(value.startswith(("=", "+", "@")) for row in rows for value in row.values())
    text = as_html(found, 0, "today").decode()
    tags: list[tuple[str, list]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            tags.append((tag, attrs))

    Tags().feed(text)
    assert "&lt;script&gt;alert(1)" in text and {tag for tag, _ in tags} & {"script", "img", "link", "a"} == set()
    assert all(not name.startswith("on") and name not in ("src", "href") for _, attrs in tags for name, _ in attrs)
    assert f"{found.columns[1].kl[0]:.3f}" in text and "default-src 'none'" in text


def test_a_run_that_is_stopped_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    open_page()
    ready()
    app = page("prompt:w1", "prompt:w2", n="2")
    kept = sheet(app)
    app.session_state["compare_cancelled"] = True  # as the button does, whose click ends the run that is under way
    app.run()
    assert "Cancelled" in texts(sound(app)) and sheet(app) is kept
    app.run()
    assert "Cancelled" not in texts(app)


def test_two_graphs_side_by_side() -> None:
    open_page()
    app = open_page("pages/compare.py")
    app.segmented_control(key="compare_what").set_value("Graphs").run()
    assert "No graphs yet" in texts(sound(app))
    left, right = traced("w4 w9 w2 w5", max_nodes=60), traced("w7 w9 w2", max_nodes=60)
    app = open_page("pages/compare.py", left=left, right=right)
    assert "Shared features" in [metric.label for metric in app.metric]
    gone = open_page("pages/compare.py", left=left, right="gone")
    assert "not in this machine's cache" in texts(gone)
