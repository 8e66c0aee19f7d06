"""A run's figures are what steering by hand gives; one that was cut off goes on; the same record, the same figures."""

import math
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch

from lab import HypothesisBody, HypothesisFile, Lab, LabError, Person
from lab.runs.bodies import PromptFigures
from lab.runs.conclude import result
from lab.runs.keeping import Kept
from lab.runs.plan import make_plan
from lab.runs.run import begin, estimate, run
from tests.lab.runs.tiny import DONOR, INTERCHANGES, NOT_SHOWN, frozen, hypothesis, prompts
from tracer import Cancelled, Donor, Edit, ReplacementModel
from tracer.steering.controls import matched
from tracer.steering.steered import Steered


def ran(lab: Lab, person: Person, model: ReplacementModel, body: HypothesisBody, **options: Any) -> Kept:
    begun = begin(lab, person, HypothesisFile(hypothesis=body), model, **options)
    list(run(lab, person, begun, model))
    return lab.figures(begun.id, person)


def places(n: int) -> dict[int, int]:
    """Of prompt n where the edited features are: the last token, and the slot's."""
    words, at = 5 + (n - 1) % 3, 2 + (n - 1) % 2  # one more for <bos>
    return {7: words, 9: at}


def by_hand(model: ReplacementModel, n: int, edits: list[Any], **options: Any) -> Steered:
    (steered,) = model.steer_many(prompts()[n - 1]["text"], [edits], **options)
    return steered


def difference(logits: torch.Tensor) -> float:
    return float(logits[5] - logits[11])  # w3, w9


def test_figures_are_what_steering_by_hand_gives(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    kept = ran(lab, ada, model, hypothesis())
    assert set(kept.prompts) == {*(f"test {n}" for n in range(1, 9)), "off-target 1"}
    included = [n for n in range(1, 9) if n != NOT_SHOWN]
    edits = {n: [Edit(1, at, feature, factor=-1) for feature, at in places(n).items()] for n in included}
    ids = [model.token_ids(prompts()[n - 1]["text"]) for n in included]
    avoid = {(1, 7), (1, 9), (2, 3), (2, 5)}
    features = matched(model, ids, [edits[n] for n in included], "features", 19, 5, avoid=avoid)
    directions = matched(model, ids, [edits[n] for n in included], "directions", 3, 6)
    for i, n in [*enumerate(included)][::3]:
        figures = kept.prompts[f"test {n}"]
        watch = [(2, places(n)[7], 3), (2, places(n)[9], 5)]
        for reading, factor in zip(figures.doses, (-1, 0, 1, 2), strict=True):
            dose = [Edit(1, at, feature, factor=factor) for feature, at in places(n).items()]
            steered = by_hand(model, n, dose, watch=watch)
            assert reading.value == reading.logit_difference == pytest.approx(difference(steered.logits), abs=1e-5)
            assert reading.kl == pytest.approx(steered.kl, abs=1e-5)
            assert reading.probability == pytest.approx(float(steered.probabilities[5]), abs=1e-6)
            assert reading.rank == steered.ranks(5)[1]
            assert reading.supernodes == pytest.approx([float(steered.watched.sum())], abs=1e-5)
            assert figures.baseline.value == pytest.approx(difference(steered.baseline), abs=1e-5)
            assert figures.baseline.supernodes == pytest.approx([float(steered.watched_baseline.sum())], abs=1e-5)
        for family, drawn in zip(figures.controls, (features, directions), strict=True):
            alone = [difference(by_hand(model, n, control.prompts[i]).logits) for control in drawn.sets]
            assert family.values == (pytest.approx(alone, abs=1e-5),)
        assert [size / figures.sizes[0] for size in figures.sizes] == pytest.approx([1, 0.5, 0, -0.5], abs=1e-6)
    steered = model.steer("w30 w31 w32", [Edit(1, 3, 7, factor=-1), Edit(1, 2, 9, factor=-1)])
    assert kept.prompts["off-target 1"].doses[0].kl == pytest.approx(steered.kl, abs=1e-6)
    assert kept.drawn is not None
    assert kept.drawn.families[0].ratios == pytest.approx([control.ratio for control in features.sets])


def test_a_prompt_that_does_not_show_the_behaviour_is_left_out(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    out = ran(lab, ada, model, hypothesis()).prompts[f"test {NOT_SHOWN}"]
    assert out.excluded and out.baseline.value < -1.5 and out.doses == out.controls == ()
    every = ran(lab, ada, model, hypothesis(exclusion={"rule": "none"})).prompts
    assert not any(figures.excluded for figures in every.values())
    rank = {"rule": "rank", "bound": 12}
    ranked = ran(lab, ada, model, hypothesis(exclusion=rank, controls=[{"seed": 5, "sets": 19}])).prompts
    for part, figures in every.items():
        assert ranked[part].excluded is (figures.where == "test" and (figures.baseline.rank or 0) > 12), part
    assert {figures.excluded for figures in ranked.values()} == {True, False}


def test_prompts_on_which_the_circuit_was_found_are_not_run(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    body = hypothesis(split={"seed": 1, "seen": ["family 0", "family 3"]})
    assert set(ran(lab, ada, model, body).prompts) == {*(f"test {n}" for n in (2, 3, 5, 6, 7, 8)), "off-target 1"}


@pytest.mark.parametrize(
    ("setting", "edit"),
    [
        ({"unit": "value", "primary": 1.5}, {"value": 1.5}),
        ({"unit": "maximum", "primary": -2}, {"plus": -3.0}),
        ({"unit": "donor", "primary": 2}, {"factor": 2.0}),
    ],
)
def test_amounts_in_other_units(
    lab: Lab, ada: Person, model: ReplacementModel, setting: dict, edit: dict[str, Any]
) -> None:
    body = hypothesis(
        circuit=[{"name": "set", "nodes": [{"layer": 1, "feature": 9, "at": {"slot": "name"}, "maximum": 1.5}]}],
        intervention={"settings": [{"supernode": "set"} | setting], "protocol": "free"},
        prompts=[prompt | {"donor": DONOR} for prompt in prompts()],
        off_target=[],
        exclusion={"rule": "none"},
        controls=[{"seed": 5, "sets": 19}],
        metric="probability",
        kind="specificity",
    )
    figures = ran(lab, ada, model, body).prompts["test 2"]
    donor = Donor(tuple(model.token_ids("w5 w40 w6 w7")), 2) if "factor" in edit else None
    steered = by_hand(model, 2, [Edit(1, places(2)[9], 9, donor=donor, **edit)], protocol="free")
    assert figures.doses[0].value == pytest.approx(float(steered.probabilities[5]), abs=1e-6)
    assert figures.magnitude == pytest.approx(abs(steered.edits[0].value) / 1.5, abs=1e-6)


def test_an_interchange_is_held_against_the_donors(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    donors = [DONOR | {"text": f"w5 w40 w6 w{n}"} for n in range(8)]  # each prompt's own
    asked = [prompt | {"donor": donor} for prompt, donor in zip(prompts(), donors, strict=True)]
    body = hypothesis(**INTERCHANGES | {"prompts": asked, "controls": [{"seed": 5, "sets": 19}]})
    begun = begin(lab, ada, HypothesisFile(hypothesis=body), model)
    list(run(lab, ada, begun, model))
    kept = lab.figures(begun.id, ada)
    included = [kept.prompts[f"test {n}"] for n in range(1, 9) if n != NOT_SHOWN]
    on_donor = {n: difference(model.record(model.token_ids(f"w5 w40 w6 w{n - 1}")).logits) for n in range(1, 9)}
    assert [one.donor for one in included] == pytest.approx([on_donor[one.number] for one in included], abs=1e-5)
    assert kept.prompts[f"test {NOT_SHOWN}"].donor is kept.prompts["off-target 1"].donor is None
    loss = sum((one.doses[0].value - on_donor[one.number]) ** 2 for one in included)
    losses = [sum((one.controls[0].values[0][r] - on_donor[one.number]) ** 2 for one in included) for r in range(19)]
    found = result(begun.head.body, begun.created, kept).findings
    assert found is not None and found.sufficiency is not None
    assert found.sufficiency.k == sum(loss <= other for other in losses) not in (0, 19)
    assert found.sufficiency.n == 19


def test_only_an_interchange_is_held_against_the_donors(model: ReplacementModel) -> None:
    settings = INTERCHANGES["intervention"]["settings"]
    for change in ({"kind": "specificity"}, {"intervention": {"settings": [settings[0] | {"primary": 3}]}}):
        assert all(one.donor is None for one in make_plan(hypothesis(**INTERCHANGES | change), model).prompts)
    plan = make_plan(hypothesis(**INTERCHANGES), model)
    assert all(one.donor == model.token_ids(DONOR["text"]) for one in plan.prompts) and plan.off_target[0].donor is None


def test_mediators_are_held_and_circuits_compared(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    mediators = [{"name": "between", "nodes": [{"layer": 2, "feature": 3}]}]
    one = [{"name": "set", "nodes": [{"layer": 1, "feature": 7}]}]
    settings = [{"supernode": "set", "primary": -3}]
    body = hypothesis(kind="mediation", circuit=one, mediators=mediators, intervention={"settings": settings})
    kept = ran(lab, ada, model, body)
    figures, at = kept.prompts["test 1"], places(1)[7]
    held = by_hand(model, 1, [Edit(1, at, 7, factor=-3), Edit(2, at, 3, factor=1)])
    assert figures.held is not None and figures.held.value == pytest.approx(difference(held.logits), abs=1e-5)
    assert figures.held.value != pytest.approx(figures.doses[0].value, abs=1e-4)
    assert [len(sets) for sets in figures.controls[0].held] == [19]
    assert figures.controls[0].held != figures.controls[0].values

    settings = [{"supernode": "set", "primary": -3}, {"supernode": "other", "primary": 0}]
    other = [{"name": "other", "nodes": [{"layer": 2, "feature": 4}]}]
    told = {"kind": "equivalence", "circuit": one, "second_circuit": other, "direction": "two_sided", "controls": None}
    kept = ran(lab, ada, model, hypothesis(intervention={"settings": settings}, **told))
    figures = kept.prompts["test 1"]
    assert figures.second is not None and kept.drawn is None
    for reading, edit in ((figures.doses[0], Edit(1, at, 7, factor=-3)), (figures.second, Edit(2, at, 4, factor=0))):
        assert reading.value == pytest.approx(difference(by_hand(model, 1, [edit]).logits), abs=1e-5)


def test_a_full_grid_runs_the_same_sets_at_all_doses(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    one = ran(lab, ada, model, hypothesis())
    grid = ran(lab, ada, model, hypothesis(), full_grid=True)
    assert grid.drawn == one.drawn
    for part, figures in grid.prompts.items():
        for family, alone in zip(figures.controls, one.prompts[part].controls, strict=True):
            assert len(family.values) == 4 and len(alone.values) == 1
            assert family.values[0] == pytest.approx(alone.values[0], abs=1e-5)
            assert set(family.values[2]) == {figures.doses[2].value}  # factor 1: nothing is changed
            assert family.values[3] != family.values[0]
    body = hypothesis()
    plans = [make_plan(body, model, full_grid) for full_grid in (False, True)]
    assert [plan.n_runs for plan in plans] == [8 * (4 + 22) + 1, 8 * (4 + 4 * 22) + 1]
    assert 0 < estimate(model, plans[0]) < math.inf


def test_what_graphs_foretell_is_measured_under_direct(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    settings = {"settings": [{"supernode": "set", "primary": -1}], "protocol": "direct"}
    file = HypothesisFile(hypothesis=hypothesis(intervention=settings, controls=[{"seed": 5, "sets": 19}]))
    begun = begin(lab, ada, file, model, predicts=True)
    with pytest.raises(LabError, match="give it graphs"):
        list(run(lab, ada, begun, model))
    list(run(lab, ada, begun, model, lambda ids, to, _told: model.trace(tokens=ids, targets=to, max_nodes=None)))
    found = result(begun.head.body, begun.created, lab.figures(begun.id, ada))
    shown = [line for line in found.prompts if not line.excluded]
    assert [line.predicted for line in shown] == pytest.approx([line.effect for line in shown], abs=1e-4)
    assert found.findings is not None and found.findings.agreement is not None
    assert found.findings.agreement.nmse == pytest.approx(0, abs=1e-6)


def _until_the_fourth(url: str, id: str, model: ReplacementModel, ready: Connection) -> None:
    """In a process of its own: stops in the middle of the fourth prompt that is not left out."""
    lab = Lab(url)
    ada = lab.person("local", "ada", "Ada")
    finished = 0

    def progress(phase: str, fraction: float) -> None:
        if finished == 4 and phase == "prompts" and fraction > 3 / 8 + 0.01:
            ready.send("now")
            time.sleep(60)

    for _ in run(lab, ada, lab.get(id, ada), model, progress=progress):
        finished += 1


def test_a_killed_run_goes_on_and_computes_nothing_again(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    file = frozen(lab, ada, hypothesis())
    begun = begin(lab, ada, file, model)
    here, there = multiprocessing.Pipe()
    url = lab._engine.url.render_as_string()
    # forked: what this process has imported need not be imported again
    child = multiprocessing.get_context("fork").Process(target=_until_the_fourth, args=(url, begun.id, model, there))
    child.start()
    assert here.poll(30) and here.recv() == "now"
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert begin(lab, ada, file, model).id == begun.id
    before = lab.figures(begun.id, ada)
    assert list(before.prompts) == [f"test {n}" for n in (NOT_SHOWN, 1, 2, 3)] and before.drawn is not None
    again = list(run(lab, ada, begun, model))
    assert [figures.part for figures in again] == ["test 4", "test 5", "test 6", "test 8", "off-target 1"]
    after = lab.figures(begun.id, ada)
    assert {part: after.times[part] for part in before.times} == before.times
    assert list(run(lab, ada, begun, model)) == []
    assert file.freeze is not None
    assert [checked.fault for checked in lab.check_freezes(file.freeze.record, ada)] == [None]
    whole = begin(lab, ada, file, model, anew=True)
    assert whole.id != begun.id
    list(run(lab, ada, whole, model))
    assert lab.figures(whole.id, ada).prompts == after.prompts  # the same record, the same figures
    found = result(begun.head.body, begun.created, after)
    assert found.exploratory is None and found.complete and found.verdict is not None


def test_a_cancelled_run_keeps_what_is_finished(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    begun = begin(lab, ada, HypothesisFile(hypothesis=hypothesis()), model)
    found: list[PromptFigures] = []

    def progress(phase: str, fraction: float) -> None:
        if len(found) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        for figures in run(lab, ada, begun, model, progress=progress):
            found.append(figures)
    assert list(lab.figures(begun.id, ada).prompts.values()) == found
    partly = result(begun.head.body, begun.created, lab.figures(begun.id, ada))
    assert (partly.finished, partly.total, partly.complete) == (3, 9, False)
    assert partly.findings is None and partly.verdict is None and len(partly.prompts) == 3


def test_controls_that_come_out_differently_are_not_mixed(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    begun = begin(lab, ada, HypothesisFile(hypothesis=hypothesis()), model)
    runs = run(lab, ada, begun, model)
    next(runs), next(runs)
    with lab._engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE figures SET body = replace(body, substr(body, instr(body, 'digest') + 9, 8), '00000000')"
            " WHERE part = 'controls'"
        )
    with pytest.raises(LabError, match="come out differently: run the hypothesis anew"):
        list(run(lab, ada, begun, model))
