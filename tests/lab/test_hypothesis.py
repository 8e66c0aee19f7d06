"""What a hypothesis may say; the split into discovery and test, which nobody can choose."""

import re
from collections.abc import Callable
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from lab import HypothesisBody, TokenPlace
from lab.claim import ControlFamily, Exclusion
from lab.splits import Split, make_split, units
from tests.lab.hypotheses import NAMES, body, hypothesis, prompt, ready
from tracer.errors import first_fault
from tracer.steering.controls import WITHOUT_GRAPH

ATHLETE = hypothesis()["circuit"][1]
ABOVE = {"name": "says it", "nodes": [{"layer": 15, "feature": 3}]}


def refused(**changes: Any) -> str:
    """The one line that says why."""
    with pytest.raises(ValidationError) as caught:
        body(**changes)
    said = first_fault(caught.value)
    assert "\n" not in said and "Value error" not in said
    return said


def setting(**fields: Any) -> dict[str, Any]:
    return {"settings": [{"supernode": "sport", "primary": -1} | fields]}


def prompts(change: Callable[[dict], Any]) -> list[dict[str, Any]]:
    """The usual ones, each changed."""
    made = [prompt(name) for name in NAMES]
    for one in made:
        change(one)
    return made


@pytest.mark.parametrize("kind", ["necessity", "sufficiency", "specificity"])
def test_a_claim_about_one_circuit(kind: str) -> None:
    made = body(kind=kind)
    assert made.intervention.doses == [(-1.0,), (0.0,), (-2.0,)]
    assert [node.which for node in made.set_nodes()] == [(13, 1012)]
    assert made.circuit[1].nodes[0].at == TokenPlace(slot="name", token=-1)
    assert made.unready() is not None and made.with_split().unready() is None


def test_claims_that_need_more() -> None:
    assert body(kind="mediation", mediators=[ABOVE]).mediators[0].name == "says it"
    both = {"settings": [{"supernode": name, "primary": -1} for name in ("sport", "says it")]}
    nothing = {"direction": "two_sided", "controls": []}
    assert body(kind="equivalence", second_circuit=[ABOVE], intervention=both, **nothing).second_circuit
    assert body(kind="no_effect", **nothing).controls == ()
    assert body(metric="kl", direction="increase", exclusion={"rule": "none"}).metric == "kl"


def test_several_supernodes_are_set_together_dose_by_dose() -> None:
    settings = [
        {"supernode": "sport", "primary": -1, "others": [0, -2]},
        {"supernode": "athlete", "unit": "value", "primary": 5, "others": [2.5, 10]},
    ]
    made = body(intervention={"settings": settings, "protocol": "constrained", "layers": [3, 14]})
    assert made.intervention.doses == [(-1, 5), (0, 2.5), (-2, 10)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        ({"prompts": prompts(lambda p: p.update(colour=1))}, "prompts.0.colour: Extra inputs are not permitted"),
        ({"claim": " "}, "claim: it must not be empty"),
        ({"title": "two\nlines"}, "title"),
        ({"kind": "truth"}, "kind: Input should be 'necessity'"),
        ({"seed": None}, "seed: Field required"),
        ({"alpha": 0}, "alpha"),
        ({"smallest_effect": 0}, "smallest_effect: it must be more than 0"),
        ({"smallest_effect": float("nan")}, "smallest_effect: it must be"),
        ({"smallest_effect": 1e30}, "smallest_effect: it must be 1,000,000,000,000.0 or less"),
        ({"smallest_effect": 10**400}, "smallest_effect"),
        ({"circuit": []}, "circuit: it must have 1 or more"),
        ({"circuit": [ATHLETE, ATHLETE]}, "two supernodes are called 'athlete'"),
        ({"circuit": [ATHLETE, ATHLETE | {"name": "sport"}]}, "a node is in two supernodes"),
        ({"intervention": setting(supernode="sports")}, "there is no supernode 'sports' in the circuit to be set"),
        ({"intervention": setting(primary=1)}, "the primary dose changes nothing"),
        ({"intervention": setting(unit="maximum", primary=0)}, "the primary dose changes nothing"),
        ({"intervention": setting(unit="maximum")}, "'sport': in units of the maximum, each node needs its maximum"),
        ({"intervention": setting(unit="donor")}, "prompt 1 ('Michael Jordan plays the sport of') has no donor"),
        ({"intervention": setting(others=[2, 2])}, "a dose is there twice"),
        ({"intervention": setting(others=[-1])}, "a dose is there twice"),
        ({"intervention": setting(primary=1e13)}, "intervention.settings.0.primary"),
        ({"intervention": {"settings": setting()["settings"] * 2}}, "a supernode is set twice"),
        (
            {"intervention": {"settings": [*setting(others=[2])["settings"], {"supernode": "athlete", "primary": 2}]}},
            "others must be as many for each supernode",
        ),
        ({"intervention": setting() | {"protocol": "constrained"}}, "layers: they are for the protocol constrained"),
        ({"intervention": setting() | {"layers": [1, 2]}}, "layers: they are for the protocol constrained"),
        (
            {"intervention": setting() | {"protocol": "constrained", "layers": [2, 2]}},
            "layers: give (a, b) with a < b",
        ),
        ({"kind": "equivalence"}, "second_circuit: a claim of equivalence needs one"),
        ({"second_circuit": [ABOVE]}, "second_circuit: a claim of equivalence needs one, and no other claim has one"),
        (
            {"kind": "equivalence", "second_circuit": [ABOVE], "direction": "two_sided"},
            "of each circuit a supernode must be set",
        ),
        ({"kind": "mediation"}, "mediators: a claim of mediation needs them"),
        (
            {"kind": "mediation", "mediators": [{"name": "m", "nodes": [{"layer": 13, "feature": 1012}]}]},
            "a feature that is set can't mediate its own effect",
        ),
        (
            {"kind": "mediation", "mediators": [{"name": "m", "nodes": [{"layer": 13, "feature": 2}]}]},
            "they must lie above the lowest layer that is set",
        ),
        ({"prompts": [prompt("Tom Brady")] * 2}, "the prompt 'Tom Brady plays the sport of' is there twice"),
        ({"off_target": [{"text": "Tom Brady plays the sport of"}]}, "is there twice"),
        ({"prompts": [prompt("Tom Brady") | {"family": None}, prompt("Babe Ruth")]}, "some prompts have a family and"),
        (
            {"prompts": prompts(lambda p: p.pop("competitor"))},
            "prompt 1 ('Michael Jordan plays the sport of') has no comp",
        ),
        (
            {"prompts": prompts(lambda p: p.pop("target")), "metric": "rank", "exclusion": {"rule": "none"}},
            "has no target",
        ),
        ({"prompts": prompts(lambda p: p.pop("slots"))}, "has no slot 'name', at which the circuit has nodes"),
        ({"prompts": prompts(lambda p: p.update(use="test"))}, "their use follows from the split"),
        ({"off_target": [{"text": "x", "use": "test"}]}, "off_target: these prompts are in no split"),
        ({"split": {"seed": 1, "seen": ["Maradona"]}}, "split.seen: there is no family or prompt 'Maradona'"),
        ({"kind": "no_effect"}, "direction: a claim of no_effect looks both ways; give two_sided"),
        ({"metric": "kl"}, "without the edit KL is 0, it can't fall; give increase"),
        ({"metric": "probability", "smallest_effect": 1}, "no probability changes by 1 or more"),
        ({"controls": []}, "controls: give at least one kind"),
        ({"controls": [{"seed": 1}, {"seed": 2}]}, "controls: a kind is there twice"),
        ({"controls": [{"seed": 1, "sets": 18}]}, "no p is below 0.0526; give at least 19 sets of the first kind for"),
        ({"controls": [{"seed": 1, "sets": 199}], "alpha": 0.001}, "give at least 999 sets"),
        ({"controls": [{"seed": 1, "kind": "sign"}]}, "there is one set of controls of kind sign"),
        ({"controls": [{"seed": 1, "kind": "influence"}]}, "controls.0.kind"),
        ({"exclusion": {"rule": "none", "bound": 1}}, "exclusion: bound: every rule but none needs one"),
        ({"exclusion": {"rule": "rank"}}, "exclusion: bound: every rule but none needs one"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(changes: dict, says: str) -> None:
    assert says in refused(**changes)


def test_just_enough_controls_are_enough() -> None:
    assert body(controls=[{"seed": 1, "sets": 19}]).controls[0].sets == 19
    assert body(controls=[{"seed": 1, "sets": 99}], alpha=0.01).alpha == 0.01


def test_controls_are_those_of_the_engine() -> None:
    kinds = set(get_args(ControlFamily.model_fields["kind"].annotation))
    assert kinds == set(WITHOUT_GRAPH)  # which are of one prompt and its graph


def test_donors_stand_in_slot_by_slot() -> None:
    donor = {"text": "The Frenchman Tony Parker", "slots": {"name": "Tony Parker"}}
    athletes = {"settings": [{"supernode": "athlete", "unit": "donor", "primary": 1}]}
    made = body(prompts=prompts(lambda p: p.update(donor=donor)), intervention=athletes)
    assert made.prompts[0].donor is not None and made.prompts[0].donor.slots["name"].start == 14
    said = refused(prompts=prompts(lambda p: p.update(donor={"text": "Tony Parker"})), intervention=athletes)
    assert said.startswith("the donor of prompt 1") and "has no slot 'name'" in said


def test_only_what_is_set_must_be_found_on_off_target_prompts() -> None:
    assert body(off_target=[{"text": "Water boils at"}]).off_target  # the athlete, at a slot, is only looked at
    athletes = {"settings": [{"supernode": "athlete", "primary": 0}]}
    assert refused(off_target=[{"text": "Water boils at"}], intervention=athletes).startswith("off-target prompt 1")


@pytest.mark.parametrize(
    ("rule", "figure", "out"),
    [
        ({"rule": "none"}, -1e9, False),
        ({"rule": "logit_difference", "bound": 0}, -0.1, True),
        ({"rule": "logit_difference", "bound": 0}, 0.0, False),
        ({"rule": "probability", "bound": 0.1}, 0.05, True),
        ({"rule": "rank", "bound": 3}, 3, False),
        ({"rule": "rank", "bound": 3}, 4, True),
    ],
)
def test_prompts_that_do_not_show_the_behaviour_are_excluded(rule: dict, figure: float, out: bool) -> None:
    assert Exclusion.model_validate(rule).excludes(figure) is out


# The split ------------------------------------------------------------------------------------------------------------


def test_the_split_takes_whole_families_and_all_that_was_seen() -> None:
    both = [prompt(name, text) for name in NAMES for text in ("{} plays the sport of", "They say {} plays")]
    made = ready(
        prompts=both, split={"seed": 7, "discovery": 0.4, "seen": ["Michael Jordan"]}, stop={"fewest_units": 3}
    )
    discovery, test = (units(made.prompts_for(use)) for use in ("discovery", "test"))
    assert "Michael Jordan" in discovery and not set(discovery) & set(test)
    assert (len(discovery), len(test)) == (3, 3)  # one that was seen, and .4 of five
    assert len(made.prompts_for("test")) == 6


def test_the_split_follows_from_the_seed_alone() -> None:
    made, split = make_split(body().prompts, Split(seed=7, discovery=0.5))
    again, same = make_split(body().prompts[::-1], Split(seed=7, discovery=0.5))
    assert {p.text: p.use for p in made} == {p.text: p.use for p in again} and split.hash == same.hash
    others = [make_split(body().prompts, Split(seed=seed, discovery=0.5)) for seed in range(20)]
    assert len({other.hash for _, other in others}) == 20
    assert len({tuple(p.use for p in prompts) for prompts, _ in others}) > 10


def test_the_split_is_the_same_in_every_version() -> None:
    """A frozen record is split again when it is read: what this gives may never change."""
    made = ready()
    assert [p.family for p in made.prompts_for("discovery")] == ["Michael Jordan", "Serena Williams"]
    assert made.split.hash == "61d6025407c1e2aea5ca51388027f0afcc74945b0d4d32014407f08ee03c644c"


def test_prompts_without_families_are_units_of_their_own() -> None:
    made = body(prompts=prompts(lambda p: p.pop("family")), split={"seed": 1, "seen": ["Babe Ruth plays the sport of"]})
    assert len(units(made.prompts)) == 6
    assert [p.text for p in made.with_split().prompts_for("discovery")] == ["Babe Ruth plays the sport of"]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["prompts"][1].update(use="discovery"),
        lambda data: data["prompts"][1].pop("use"),
        lambda data: data["prompts"].pop(1),
        lambda data: data["split"].update(seed=8),
        lambda data: data["split"].update(hash="0" * 64),
        lambda data: data["prompts"][1].update(family="Tiger Woods"),
    ],
)
def test_a_split_that_somebody_chose_is_refused(change: Callable[[dict], Any]) -> None:
    data = ready().model_dump(exclude_none=True)
    data["prompts"] = list(data["prompts"])
    change(data)
    with pytest.raises(ValidationError, match="it is not the one that its seed gives"):
        HypothesisBody.model_validate(data)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_fingerprint": None}, "fingerprints of model and features are missing"),
        ({"basis_fingerprint": ""}, "fingerprints of model and features are missing"),
        ({"stop": {"fewest_units": 5}}, "4 test prompts or families are fewer than the 5"),
    ],
)
def test_what_is_not_whole_is_not_ready(changes: dict, says: str) -> None:
    assert re.search(says, ready(**changes).unready() or "")
    assert "split" in (body().unready() or "")
