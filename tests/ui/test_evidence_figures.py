"""What charts of a run are drawn from."""

from datetime import timedelta
from typing import Any

import pytest

from lab.runs.bodies import PromptFigures, Reading
from lab.runs.conclude import result
from lab.runs.result import Against, Result
from tests.lab.runs.made_up import BASE, EDIT, NOON, TWO_CIRCUITS, decided, figures, kept, made
from tests.lab.runs.tiny import hypothesis, prompts
from ui import evidence_figures
from ui.evidence_figures import bars, doses, dots, kls, reach, share_reach, shares
from ui.evidence_words import doses_caption, dots_caption

BODY = hypothesis(**BASE | {"intervention": EDIT})


def against(means: list[float], effect: float) -> Against:
    told = {"kind": "features", "wanted": 9, "sets": len(means), "short": None, "ratio": 1.0, "worst": 1.0, "p": 0.5}
    rest = {"as_much": 0, "effect": effect, "means": tuple(means), "cliffs_delta": 0.0, "flips": None}
    return Against(**told | rest)


def test_every_control_set_is_in_a_bar() -> None:
    for means, effect in (
        ([0.1 * n for n in range(40)], 1.0),
        ([0.001 * n for n in range(200)], -50.0),  # all in one place, the edit far away
        ([0.0, 0.0, 0.0], 0.0),
        ([2.0], 3.0),
    ):
        found = bars(against(means, effect))
        assert sum(bar.sets for bar in found) == len(means)
        assert all(bar.left < bar.right for bar in found)
        assert found[0].left <= min(means) <= max(means) <= found[-1].right
    assert len(bars(against([0.001 * n for n in range(200)], -50.0))) == 1  # more would be too narrow to be seen


def test_dots_are_the_prompts_that_count_the_largest_first() -> None:
    found = decided()
    drawn = dots(BODY, found)
    assert sorted((d.effect, d.controls) for d in drawn) == sorted((p.effect, p.controls) for p in found.prompts)
    assert [d.effect for d in drawn] == sorted(d.effect for d in drawn)  # the claim: a decrease
    assert [d.effect for d in dots(BODY, decided(direction="increase"))] == [d.effect for d in drawn][::-1]
    assert drawn[0].label == "2 · family 1" and len({d.label for d in drawn}) == 8
    twins = [prompt | {"family": f"f{n // 2}"} for n, prompt in enumerate(prompts())]
    of_twins = dots(BODY, decided(prompts=twins))
    assert of_twins[0].label.startswith("2 · w2 w16")  # two of a family: the prompts tell apart


@pytest.mark.parametrize(
    ("changes", "says", "beside"),
    [
        ({}, "● with the edit less without; ○", True),
        ({"kind": "specificity"}, "● with the edit less the mean with its controls; ◆", False),
        (TWO_CIRCUITS, "● with the first circuit's edit less with the second's; ◆", False),
    ],
)
def test_controls_are_beside_effects_only_where_they_compare(changes: dict[str, Any], says: str, beside: bool) -> None:
    body = hypothesis(**BASE | {"intervention": EDIT} | changes)
    second = Reading(value=0.5) if body.second_circuit else None
    there = [figures(body, n, -2.0, 0.3, second=second) for n in range(1, 9)]
    found = result(made(body), NOON, kept(body, there))
    drawn = dots(body, found)
    assert {dot.controls is not None for dot in drawn} == {beside}
    assert [dot.effect for dot in drawn] == sorted(line.effect or 0.0 for line in found.prompts)
    assert dots_caption(body, drawn, found).startswith(says)


def test_doses_are_means_of_units_in_order() -> None:
    found = decided()
    drawn = doses(found)
    assert drawn is not None and found.findings is not None and found.findings.interval is not None
    assert drawn.axis == (-0.5, 0.0, 0.5, 1.0) and set(drawn.units) == {f"family {n}" for n in range(8)}
    assert drawn.mean[-1] == pytest.approx(found.findings.interval.estimate)
    assert drawn.units["family 1"] == pytest.approx((1.1, 0.0, -1.1, -2.2)), "no edit, no effect"
    twins = [prompt | {"family": f"f{n // 2}"} for n, prompt in enumerate(prompts())]
    halved = doses(decided(prompts=twins))
    assert halved is not None and halved.units["f0"][-1] == pytest.approx((-1.9 - 2.2) / 2)


def test_of_many_units_some_lines_are_drawn_and_the_mean_is_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = decided()
    all_units = doses(found)
    monkeypatch.setattr(evidence_figures, "MOST_LINES", 3)
    some = doses(found)
    assert some is not None and all_units is not None and found.findings is not None
    assert list(some.units) == ["family 0", "family 3", "family 6"] and some.n_units == 8
    assert some.mean == all_units.mean
    assert "Thin: 3 of 8 units" in doses_caption(some, found.findings, "nats")


def partly(n: int) -> Result:
    body = hypothesis(**BASE | {"intervention": EDIT})
    out = PromptFigures(where="test", number=1, baseline=Reading(value=-2, logit_difference=-2), excluded=True)
    found = [out, *(figures(body, i, -2.0, 0.3) for i in range(2, n + 1))]
    return result(made(body), NOON + timedelta(hours=1), kept(body, found, None))


def test_of_a_part_of_a_run() -> None:
    found = partly(4)
    assert [d.label[0] for d in dots(BODY, found)] == ["2", "3", "4"] and doses(found) is None
    assert shares(found) == {"seen": [(line.text, 50.0) for line in found.prompts[1:]]}


def test_kl_on_and_off_target() -> None:
    body = hypothesis(**BASE | {"intervention": EDIT})
    there = kept(body, [figures(body, n, -2.0, 0.3) for n in range(1, 9)])
    rows = kls(body, there, result(made(body), NOON, there))
    assert rows["off-target prompts"] == [("w30 w31 w32", 0.02)]
    assert [value for _, value in rows["test prompts"]] == [0.2] * 8


def test_axes_hold_all_and_zero() -> None:
    low, high = reach([2.0, 3.0])
    assert low < 0 and high > 3
    assert reach([]) < (0.0, 1.0) and reach([0.0])[0] < reach([0.0])[1]
    low, high = share_reach({"a": [("x", 5000.0), ("y", -20.0)]})
    assert -60 < low < -20 and 300 < high < 330
