"""The verdict follows from the kept figures by the record's own rule. Figures are made up here: no model runs."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab import HypothesisFile
from lab.runs.bodies import ControlFigures, Predicted, PromptFigures, Reading, version_hash
from lab.runs.conclude import result
from lab.runs.files import save
from lab.runs.result import Result
from tests.lab.runs.made_up import BASE, EDIT, NOISE, NOON, TWO_CIRCUITS, decided, figures, kept, made
from tests.lab.runs.tiny import INTERCHANGES, hypothesis, prompts


@pytest.mark.parametrize(
    ("changes", "decision", "says"),
    [
        ({}, "supported", "the effect of -2 nats"),
        ({"effect": 2.0}, "refuted", "goes the other way"),
        ({"effect": -0.1}, "refuted", "stays short of the smallest effect that matters (-0.5 nats)"),
        ({"effect": -0.55}, "inconclusive", "may be more or less than"),
        ({"control": 9.0}, "inconclusive", "lies beyond the smallest effect that matters (-0.5 nats), but"),
        ({"direction": "increase", "effect": 2.0}, "supported", "the effect of 2 nats"),
        ({"direction": "two_sided"}, "supported", "either way"),
        ({"kind": "specificity"}, "supported", "effect above the controls'"),
        ({"metric": "probability"}, "supported", "probability"),
        ({"notebook": (0.9, 0.8)}, "inconclusive", "p = 0.075 after Benjamini–Hochberg, 3 claims"),
        ({"notebook": (0.9, 0.8), "correction": "none"}, "supported", "p = 0.025, α"),
        ({"stop": {"fewest_units": 8}}, "supported", "8 families"),
        (
            {"kind": "no_effect", "direction": "two_sided", "controls": None, "effect": 0.0},
            "supported",
            "lies within ±0.5 nats",
        ),
        ({"kind": "no_effect", "direction": "two_sided", "controls": None}, "refuted", "lies beyond ±0.5 nats"),
    ],
)
def test_the_verdict_follows_the_rule(changes: dict[str, Any], decision: str, says: str) -> None:
    found = decided(**changes)
    assert found.verdict is not None
    assert (found.verdict.decision, says in found.verdict.sentence) == (decision, True), found.verdict.sentence
    assert found.exploratory is None


def test_findings_by_hand() -> None:
    found = decided().findings
    assert found is not None and found.reasons == {}
    mean = -2 + sum(NOISE) / 8
    assert found.interval is not None and found.interval.estimate == pytest.approx(mean)
    assert (found.direction, found.doses, found.corrected) == (-1, (1, 0.5, -0.5), None)
    assert found.dose is not None and found.dose.slope.estimate == pytest.approx(-mean)  # d·effect a dose
    (against,) = found.controls
    assert (against.p, against.as_much, against.sets, against.ratio, against.worst) == (1 / 40, 0, 39, 1.0, 0.1)
    assert against.means == pytest.approx([0.3 * math.sin(r + 1) for r in range(39)])
    assert found.signs is not None and (found.signs.k, found.signs.n) == (8, 8)
    assert found.flips is not None and found.flips.p == 2**-8
    assert found.necessity is not None and found.necessity.k == 39
    run = found.circumstances
    assert (run.units, run.families, run.prompts, run.excluded, run.controls_wanted) == (8, True, 8, 0, 39)
    assert (run.control_ratio, run.magnitude, run.off_target_kl) == (1.0, None, 0.02)


def test_of_a_specificity_prompts_and_mean_are_above_the_controls() -> None:
    found, controls = decided(kind="specificity"), sum(0.3 * math.sin(r + 1) for r in range(39)) / 39
    assert [p.effect for p in found.prompts] == pytest.approx([-2 + noise - controls for noise in NOISE])
    assert [p.controls for p in found.prompts] == pytest.approx([controls] * 8)
    assert found.findings is not None and found.findings.interval is not None
    assert found.findings.interval.estimate == pytest.approx(sum(p.effect or 0 for p in found.prompts) / 8)
    # The edit raises the metric, but less than its controls: what is claimed goes down.
    either = decided(kind="specificity", direction="two_sided", effect=0.1, control=9.0).findings
    assert either is not None and either.interval is not None
    assert (either.interval.estimate < 0, either.direction) == (True, -1)


def test_families_count_once() -> None:
    twins = [prompt | {"family": f"f{n // 2}"} for n, prompt in enumerate(prompts())]
    found = decided(prompts=twins, alpha=0.1)
    assert found.findings is not None and found.findings.interval is not None
    assert (found.findings.interval.n, found.findings.circumstances.units) == (4, 4)
    assert found.verdict is not None and found.verdict.decision == "supported"
    few = decided(prompts=twins).verdict
    assert few is not None and "4 families can't reach α = 0.05, which takes 5" in few.sentence


def test_what_is_left_out_or_missing() -> None:
    body = hypothesis(**BASE | {"intervention": EDIT, "stop": {"fewest_units": 7}})
    run, started = made(body), NOON + timedelta(hours=1)
    whole = [figures(body, n, -2.0, 0.3) for n in range(1, 9)]
    out = [PromptFigures(where="test", number=n, baseline=Reading(value=-2), excluded=True) for n in range(1, 9)]

    found = result(run, started, kept(body, [*out[:1], *whole[1:]]))
    assert found.findings is not None and found.findings.circumstances.excluded == 1
    assert found.verdict is not None and found.verdict.decision == "supported"
    assert found.prompts[0].excluded and found.prompts[0].effect is None
    assert found.prompts[1].effect == pytest.approx(-2.2) and found.prompts[1].supernodes == ((2.0, 1.0),)

    found = result(run, started, kept(body, [*out[:2], *whole[2:]]))
    assert found.verdict is not None
    assert found.verdict.sentence == "Inconclusive: 6 families are fewer than the 7 of the stop rule."
    assert any("Behaviour lost: 2 of 8" in threat for threat in found.verdict.threats)

    found = result(run, started, kept(body, out))
    assert found.verdict is not None and found.verdict.decision == "inconclusive"
    assert found.findings is not None and found.findings.interval is None

    for partly in (kept(body, whole[:7]), kept(body, whole, kl=None)):
        found = result(run, started, partly)
        assert not found.complete and found.findings is None and found.verdict is None

    alike = [one.model_copy(update={"doses": whole[0].doses}) for one in whole]
    found = result(run, started, kept(body, alike))
    assert found.findings is not None and "spread can't be estimated" in found.findings.reasons["interval"]
    assert found.verdict is not None and "spread can't be estimated" in found.verdict.sentence


def test_mediated_and_compared_effects() -> None:
    mediators = [{"name": "between", "nodes": [{"layer": 2, "feature": 8}]}]
    body = hypothesis(**BASE | {"intervention": EDIT, "kind": "mediation", "mediators": mediators})
    found = []
    for n in range(1, 9):
        one = figures(body, n, -2.0, 0.3)
        (family,) = one.controls
        held = ControlFigures(kind="features", values=family.values, held=((0.9,) * 39,))
        found.append(one.model_copy(update={"held": Reading(value=0.2 + NOISE[-n] / 5), "controls": (held,)}))
    told = result(made(body), NOON, kept(body, found)).findings
    assert told is not None and told.mediation is not None and told.mediation.share is not None
    assert told.mediation.whole.estimate == pytest.approx(-2)
    assert told.mediation.mediated == told.interval
    assert told.interval is not None and told.interval.estimate == pytest.approx(-1.2)
    assert told.controls[0].means == pytest.approx([0.1 + 0.3 * math.sin(r + 1) for r in range(39)])
    assert told.controls[0].effect == pytest.approx(-1.2)

    body = hypothesis(**BASE | TWO_CIRCUITS | {"controls": None})
    found = [
        figures(body, n, -2.0, 0).model_copy(update={"second": Reading(value=-1.0 + NOISE[-n])}) for n in range(1, 9)
    ]
    compared = result(made(body), NOON, kept(body, found))
    assert compared.findings is not None and compared.findings.equivalence is not None
    assert compared.findings.equivalence.estimate == pytest.approx(0, abs=1e-9)
    assert compared.verdict is not None and compared.verdict.decision == "supported"


def test_sufficiency_is_nearness_to_the_donors() -> None:
    """The edit gives 2 and noise, set r of the controls 1 + 2 sin(r + 1)."""
    body, ks = hypothesis(**BASE | INTERCHANGES), []
    for donor in (-1.5, 0.5, 1.6, 2.0, 9.0):
        there = [figures(body, n, 1.0, 2.0, donor=donor + NOISE[n - 1] / 2) for n in range(1, 9)]
        told = result(made(body), NOON, kept(body, there))
        assert [line.donor for line in told.prompts] == [donor + noise / 2 for noise in NOISE]
        loss = sum((2 + noise / 2 - donor) ** 2 for noise in NOISE)
        losses = [sum((1 + 2 * math.sin(r + 1) - donor - noise / 2) ** 2 for noise in NOISE) for r in range(39)]
        assert told.findings is not None and told.findings.sufficiency is not None
        wins = told.findings.sufficiency
        assert (wins.k, wins.n) == (sum(other >= loss for other in losses), 39)
        assert wins.p == pytest.approx(sum(math.comb(39, j) * 0.9**j * 0.1 ** (39 - j) for j in range(wins.k, 40)))
        assert told.findings.necessity is None and told.findings.reasons == {}
        ks.append(wins.k)
    assert ks == [14, 14, 33, 39, 25]


def test_an_older_run_lacks_the_donors() -> None:
    body = hypothesis(**BASE | INTERCHANGES)
    there = [figures(body, n, 1.0, 2.0, donor=None if n == 3 else 2.0) for n in range(1, 9)]
    told = result(made(body), NOON, kept(body, there)).findings
    assert told is not None and told.sufficiency is None
    assert told.reasons == {"sufficiency": "this run is from before donors were measured: run it anew"}


def test_exploratory_is_said() -> None:
    body = hypothesis(**BASE | {"intervention": EDIT})
    after, run = NOON + timedelta(hours=1), made(body)
    draft = run.model_copy(update={"hypothesis": HypothesisFile(hypothesis=body)})
    changed = body.model_copy(update={"alpha": 0.5})
    tampered = run.model_copy(update={"hypothesis": run.hypothesis.model_copy(update={"hypothesis": changed})})
    for told, started, says in (
        (run, after, None),
        (run, NOON - timedelta(hours=1), "began before the hypothesis was frozen"),
        (draft, after, "was not frozen"),
        (tampered, after, "is not what was frozen"),
        (made(body, version=2, previous="1" * 64), after, "changes one that was frozen before"),
    ):
        why = result(told, started, kept(body, [])).exploratory
        assert why is None if says is None else says in (why or "")
    assert (
        version_hash(run.hypothesis) == run.hash != version_hash(tampered.hypothesis) != version_hash(draft.hypothesis)
    )


def test_predictions_are_compared_by_protocol() -> None:
    for protocol, names in (("direct", "direct"), ("clamp", "through")):
        body = hypothesis(**BASE | {"intervention": EDIT | {"protocol": protocol}})
        found = [
            figures(body, n, -2.0, 0.3, predicted=Predicted(direct=-1.0 - n, through=-2.0 - n, missing=0))
            for n in range(1, 9)
        ]
        told = result(made(body), NOON, kept(body, found))
        assert [line.predicted for line in told.prompts] == [-(1 if names == "direct" else 2) - n for n in range(1, 9)]
        assert told.findings is not None and told.findings.agreement is not None


def test_files(tmp_path: Path) -> None:
    body = hypothesis(**BASE | {"intervention": EDIT})
    there = kept(body, [figures(body, n, -2.0, 0.3) for n in range(1, 9)])
    run = made(body)
    found = result(run, NOON, there)
    save(tmp_path / "out", run, NOON, there, found)
    assert Result.model_validate_json((tmp_path / "out" / "result.json").read_text()) == found
    lines = (tmp_path / "out" / "figures.csv").read_text().splitlines()
    assert lines[0] == "where,prompt,excluded,condition,dose,set,value,kl"
    assert lines[1] == "test,1,False,baseline,,,1,0" and lines[2].startswith("test,1,False,edit,1,,")
    assert len(lines) == 1 + 8 * (1 + 3 + 39) + 2
    assert run.hash in (tmp_path / "out" / "hypothesis.yaml").read_text()
