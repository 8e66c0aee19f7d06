"""What is changed on the Steer page: taken back, kept over another page, saved or not; a tiny random model."""

from dataclasses import replace
from typing import Any

import pytest

from tests.helpers import PROMPT
from tests.lab.troubled import troubled
from tests.pages.conftest import sound, texts
from tests.pages.test_steer import edits, metric, steered_page
from ui.session import get_lab, me

pytestmark = pytest.mark.usefixtures("loading")


def test_rows_can_be_switched_taken_out_and_brought_back() -> None:
    app, service, _, ids = steered_page()
    second = next(t for t in app.toggle if t.key.startswith("steer_on_") and t.key.endswith("_1"))
    second.set_value(True).run()
    both = service.model.steer(PROMPT, edits(ids, -1.0))
    assert metric(app, "KL") == f"{both.kl:.3f}"
    next(b for b in app.button if b.label == "✕").click().run()
    one = service.model.steer(PROMPT, edits(ids[2:], -1.0))
    assert metric(sound(app), "KL") == f"{one.kl:.3f}"
    app.button(key="steer_undo").click().run()
    assert metric(sound(app), "KL") == f"{both.kl:.3f}"
    for toggle in [t.key for t in app.toggle if t.key.startswith("steer_on_")]:
        app.toggle(key=toggle).set_value(False).run()
    assert "No row is on" in texts(sound(app))
    app.button(key="steer_reset").click().run()
    assert metric(sound(app), "KL") == f"{both.kl:.3f}"
    app.button(key="steer_undo").click().run()
    assert "No row is on" in texts(sound(app))
    for _ in range(3):  # off, off, the switch of the second row
        app.button(key="steer_undo").click().run()
    assert app.button(key="steer_undo").disabled and len(app.session_state["steering"].rows) == 2
    assert metric(sound(app), "KL") == f"{service.model.steer(PROMPT, edits(ids[:2], -1.0)).kl:.3f}"


def test_every_change_of_a_row_can_be_taken_back() -> None:
    app, *_ = steered_page()

    def shown() -> tuple[object, ...]:
        row = app.session_state["steering"].rows[0]
        amount = [w.value for w in (*app.slider, *app.number_input) if "_amount_" in w.key and w.key.endswith(row.unit)]
        places = [s.value for s in app.selectbox if s.label in ("Unit", "Where")]
        return row, *amount, *places, metric(app, "KL")

    def first(kind: Any, label: str) -> Any:
        return next(w for w in kind if w.label == label)

    before = [shown()]
    for change in (
        lambda: first(app.slider, "× own").set_value(2.0),
        lambda: first(app.selectbox, "Unit").set_value("value"),
        lambda: first(app.number_input, "value").set_value(0.7),
        lambda: first(app.selectbox, "Where").set_value("onward"),
        lambda: first(app.number_input, "From").set_value(2),
    ):
        change().run()
        before.append(shown())
    assert len(set(before)) == len(before)
    for then in reversed(before[:-1]):
        app.button(key="steer_undo").click().run()
        assert shown() == then


def test_what_stands_in_the_fields_is_there_after_another_page() -> None:
    app, *_ = steered_page()
    next(s for s in app.slider if s.label == "× own").set_value(0.3).run()
    next(s for s in app.selectbox if s.label == "Where").set_value("last").run()
    app.button_group(key=f"steer_protocol_{app.session_state['steering'].id}").set_value("free").run()
    next(n for n in app.number_input if n.label == "How many").set_value(7).run()
    app.number_input(key="steer_n_tokens").set_value(4).run()
    app.text_input(key="steer_prompt_only").set_value("w7 w1").run()
    app.text_input(key=f"steer_title_{app.session_state['steering'].id}").set_value("Mine").run()

    def fields() -> dict[str, object]:
        kinds = (app.slider, app.selectbox, app.number_input, app.text_input, app.toggle, app.button_group)
        return {w.key: w.value for kind in kinds for w in kind if (w.key or "").startswith("steer_")}

    here = fields(), metric(app, "KL")
    app.switch_page("pages/system.py").run()
    app.switch_page("pages/steer.py").run()
    assert (fields(), metric(sound(app), "KL")) == here


def test_a_run_that_cant_be_saved_says_so_and_nothing_is_lost() -> None:
    app, *_ = steered_page()
    next(s for s in app.slider if s.label == "× own").set_value(0.5).run()
    kl = metric(app, "KL")
    with troubled(get_lab(), "query_only=ON", "query_only=OFF"):
        app.button(key="steer_save").click().run()
        assert "Not saved: the record can't be read or written now" in texts(sound(app))
    assert metric(app, "KL") == kl and not get_lab().find("steering", me())
    app.button(key="steer_save").click().run()
    assert "Not saved" not in texts(sound(app))
    (record,) = get_lab().find("steering", me())
    (row, _off) = record.head.body.rows
    assert row.amount == 0.5
    assert record.head.body.title == f"{row.name} × 0.5", "with no title given, what was done"


def test_a_field_that_is_gone_is_not_heard_any_more() -> None:
    """A browser may send its value once more, with the refresh of another part of the page."""
    app, service, _, ids = steered_page()

    def late(gone: Any) -> None:
        states = app._tree.get_widget_states()
        states.widgets.append(gone)
        sound(app._run(states))

    slider = next(s for s in app.slider if s.label == "× own")._widget_state
    next(s for s in app.selectbox if s.label == "Unit").set_value("value").run()
    late(slider)
    out = service.model.steer(PROMPT, [replace(e, factor=None, value=0.0) for e in edits(ids[:2], 1.0)])
    assert metric(app, "KL") == f"{out.kl:.3f}"
    amount = next(n for n in app.number_input if n.label == "value")._widget_state
    next(t for t in app.toggle if t.key.endswith("_1")).set_value(True).run()
    next(b for b in app.button if b.label == "✕").click().run()
    late(amount)
    assert [row.amount for row in app.session_state["steering"].rows] == [-1.0]
    assert metric(app, "KL") == f"{service.model.steer(PROMPT, edits(ids[2:], -1.0)).kl:.3f}"
