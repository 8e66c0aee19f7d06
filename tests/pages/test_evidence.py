"""The evidence of a run as a page shows it: its figures are the Result's. Figures are made up, the texts are not."""

import io
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from lab import HypothesisBody, HypothesisFile
from lab.runs.bodies import ControlFigures, Predicted, PromptFigures, Reading, RunBody
from lab.runs.conclude import result
from lab.runs.keeping import Kept
from lab.runs.plan import make_plan
from lab.runs.result import Result
from lab.runs.words import statistics
from tests.lab.runs.made_up import BASE, EDIT, HOSTILE, NOON, figures, hostile, kept, made
from tests.lab.runs.tiny import INTERCHANGES, hypothesis
from tests.pages.conftest import ready, sound, texts, until
from ui.evidence_table import prompt_table
from ui.export_menu import as_csv

pytestmark = pytest.mark.usefixtures("loading")
LATER = NOON + timedelta(hours=1)


def script(runs: list[object], kept: object, found: object) -> None:
    import streamlit as st

    from ui.evidence import evidence
    from ui.session import APP

    st.session_state[APP] = True
    for run in runs:
        evidence(run, kept, found)


def shown(run: RunBody, there: Kept, found: Result | None = None, ids: Sequence[str] = ("r",)) -> AppTest:
    found = found or result(run, LATER, there)
    runs = [SimpleNamespace(id=id, head=SimpleNamespace(body=run), created=LATER) for id in ids]
    return sound(AppTest.from_function(script, args=(runs, there, found), default_timeout=30).run())


def whole(body: HypothesisBody, n: int = 8, **changes: Any) -> Kept:
    foretold = [Predicted(direct=-2.0 - i, through=-1.0 - i, missing=0) for i in range(n)]
    found = [figures(body, i, -2.0, 0.3, predicted=foretold[i - 1], **changes) for i in range(1, n + 1)]
    return kept(body, found, 0.02 if n == 8 else None)


def drawn(app: AppTest) -> list[pd.DataFrame]:
    """The data of the charts, in the order of the page."""
    protos = [chart.proto for chart in app.get("vega_lite_chart")]
    return [pa.ipc.open_stream(d.data.data).read_pandas() for proto in protos for d in proto.datasets]


def test_figures_are_those_of_the_result() -> None:
    body = hypothesis(**BASE | {"intervention": EDIT})
    run, there = made(body), whole(body)
    found = result(run, LATER, there)
    app = shown(run, there)
    said = texts(app)
    assert found.verdict is not None and found.findings is not None and found.findings.interval is not None
    assert f"**{found.verdict.sentence}**" in said
    assert "Supported" in said and "Confirmatory" in said and "Exploratory" not in said
    for line in statistics(body, found):
        assert f"{line.name}: **{line.value}**" in said
    (table,) = [frame.value for frame in app.dataframe]
    assert list(table["effect"]) == [line.effect for line in found.prompts] and "excluded" not in table
    data = drawn(app)
    (dots,) = [frame for frame in data if {"label", "controls"} <= set(frame)][:1] or [pd.DataFrame()]
    assert sorted(dots["effect"]) == sorted(line.effect or 0.0 for line in found.prompts)
    over = next(frame for frame in data if {"low", "high"} <= set(frame))
    interval = found.findings.interval
    assert over[["effect", "low", "high"]].iloc[0].tolist() == [interval.estimate, interval.low, interval.high]
    assert sum(next(frame for frame in data if "sets" in frame)["sets"]) == 39
    assert {"Report (HTML)", "Bundle (zip)", "CSV: all prompts"} <= {b.label for b in app.get("download_button")}


def test_a_run_that_is_under_way_decides_nothing() -> None:
    body = hypothesis(**BASE | {"intervention": EDIT})
    app = shown(made(body), whole(body, 3))
    said = texts(app)
    assert "3 of 9 prompts finished. Nothing is decided before the last one is." in said
    assert "Supported" not in said and "All statistics" not in said
    assert len(app.dataframe[0].value) == 3 and len(app.get("vega_lite_chart")) == 2
    assert [b.label for b in app.get("download_button")] == ["CSV: all prompts"]
    nothing = texts(shown(made(body), kept(body, [], None)))
    assert "0 of 9 prompts finished" in nothing


def test_exploratory_runs_say_why_and_what_is_left_out() -> None:
    body = hypothesis(**BASE | {"intervention": EDIT})
    run = made(body).model_copy(update={"hypothesis": HypothesisFile(hypothesis=body)})
    out = PromptFigures(where="test", number=1, baseline=Reading(value=-2, logit_difference=-2), excluded=True)
    app = shown(run, kept(body, [out, *[figures(body, n, -2.0, 0.3) for n in range(2, 9)]]))
    said = texts(app)
    assert "Exploratory: the hypothesis was not frozen." in said and "Confirmatory" not in said
    assert "1 left out: see the table" in said
    assert app.dataframe[0].value["excluded"][0] == "without the edit its logit difference is -2, below -1.5"


def test_where_all_is_left_out_the_reason_is_said() -> None:
    body = hypothesis(**BASE | {"intervention": EDIT})
    out = [PromptFigures(where="test", number=n, baseline=Reading(value=-2), excluded=True) for n in range(1, 9)]
    said = texts(shown(made(body), kept(body, out)))
    assert "Inconclusive: 0 families" in said and "Behaviour lost: 8 of 8" in said


MEDIATORS = [{"name": "between", "nodes": [{"layer": 2, "feature": 8}]}]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "no_effect", "direction": "two_sided", "controls": None}, "Equivalence test"),
        ({"kind": "mediation", "mediators": MEDIATORS}, "Mediated effect, prompt by prompt"),
        (INTERCHANGES, "Sufficiency: **p = "),
        ({"kind": "specificity"}, "● with the edit less the mean with its controls; ◆"),
    ],
)
def test_other_kinds_of_claims(changes: dict[str, Any], says: str) -> None:
    body = hypothesis(**BASE | {"intervention": EDIT} | changes)
    found = []
    for n in range(1, 9):
        one = figures(body, n, -2.0, 0.3, donor=1.0 if body.compares_with_donors else None)
        if body.kind == "mediation":
            (family,) = one.controls
            held = ControlFigures(kind="features", values=family.values, held=((0.9,) * 39,))
            one = one.model_copy(update={"held": Reading(value=0.2 + n / 100), "controls": (held,)})
        found.append(one)
    app = shown(made(body), kept(body, found))
    assert says in texts(app) and ("donor" in app.dataframe[0].value) is body.compares_with_donors


def test_hostile_texts_stay_texts() -> None:
    run, there, found = hostile()
    app = shown(run, there)
    assert HOSTILE in app.dataframe[0].value["text"][0]
    for element in [*app.markdown, *app.caption]:
        bare = element.value.replace("\\<", "").replace("\\[", "").replace("\\`", "").replace("\\|", "")
        assert "<" not in bare and "](" not in bare
    written = as_csv(prompt_table(run.body, there, found))
    table = pd.read_csv(io.BytesIO(written))
    assert all(unit.startswith("'=1+1") for unit in table["unit"]) and len(table) == 8


def test_texts_are_the_models_own_without_the_edit_and_with_it() -> None:
    model = ready().model
    assert model is not None
    prints = {"model_fingerprint": model.model_fingerprint, "basis_fingerprint": model.basis_fingerprint}
    strong = {"settings": [{"supernode": "set", "primary": 300, "others": [0, 2]}]}
    body = hypothesis(**BASE | {"intervention": strong} | prints)
    run, there = made(body), whole(body)
    assert "Load tiny with neurons to see its texts" in texts(shown(run, there))  # it was made on another model
    run = run.model_copy(update={"made_with": run.made_with.model_copy(update=prints)})
    app = shown(run, there, ids=("r", "other"))  # of one version, on one page
    app.selectbox(key="evidence_texts_r_prompt").select(3)
    app.number_input(key="evidence_texts_r_n").set_value(4)
    app.button(key="evidence_texts_r_generate").click().run()
    assert app.number_input(key="evidence_texts_other_n").value == 20
    assert [c.value for c in app.caption].count("Press Generate.") == 2, "nothing was generated of the other"

    def both() -> list[str] | None:
        found = [element.value for element in app.run().text]
        return found if len(found) == 2 else None

    plan = make_plan(body, model).prompts[2]
    conditions = [[], list(plan.doses[0])]
    tokens = list(model.generate(tokens=plan.ids, conditions=conditions, protocol="clamp", n_tokens=4))
    ids = [[token.id for token in tokens if token.condition == condition] for condition in (0, 1)]
    expected = [model.continuation(plan.ids, own).strip() for own in ids]
    assert until(both) == expected and expected[0] != expected[1]
    assert "it decides nothing" in texts(app)
