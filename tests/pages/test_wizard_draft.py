"""What the wizard's fields make: where a circuit lies on other prompts, tables, defaults, and the record back again."""

from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from lab import HypothesisBody, LabError, Prompt, Slot, SlottedText, Template, misfits, pasted
from lab.freeze import HypothesisFile, read, write
from lab.prompt_sets import slot_names
from lab.runs.baseline import Baseline, asked
from lab.statistics import effect_seen, power
from tests.lab.hypotheses import ready as frozen_ready
from tests.lab.tokens import Words
from ui.wizard_claim import in_words, natural_direction, take_claim, take_kind, take_metric
from ui.wizard_draft import Node, Piece, Writing, doses, of_body, of_now
from ui.wizard_edit import take
from ui.wizard_more import in_line, marked, take_alpha, take_controls, take_off_target
from ui.wizard_nodes import take_places
from ui.wizard_places import VARIES, places, slot_finder
from ui.wizard_prompts import add, frame, read_table, take_for_all, take_table
from ui.wizard_side import baseline_table, power_words

IDS = Words().ids
JORDAN = "Michael Jordan plays the sport of"
OTHERS = ("Lionel Messi", "Babe Ruth", "Michael Messi", "Babe Jordan", "Lionel Ruth")


def writing(**fields: Any) -> Writing:
    """A circuit that was found on JORDAN: a supernode at “Jordan”, a feature at “of”; five other names."""
    pieces = [
        Piece("athlete", (Node(4, 7, 2), Node(5, 8, 2)), found_on=JORDAN),
        Piece("L13 · 1012", (Node(13, 1012, 6),), found_on=JORDAN),
    ]
    prompts = [Prompt(text=f"{name} plays the sport of") for name in ("Michael Jordan", *OTHERS)]
    made = Writing(
        title="Sports",
        model="m",
        features="f",
        model_fingerprint="a" * 64,
        basis_fingerprint="neurons",
        pieces=pieces,
        prompts=prompts,
    )
    for prompt in prompts:
        made.baselines[asked(prompt)] = Baseline(" basketball", " golf", 2.0, 0.5, 1)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def body_of(draft: Writing) -> HypothesisBody:
    return draft.body(IDS, in_words(draft))


# Where a circuit lies -------------------------------------------------------------------------------------------------


def test_what_differs_between_prompts_becomes_a_slot_and_features_find_their_tokens() -> None:
    body = body_of(writing())
    athlete, last = body.circuit
    assert [str(node.at) for node in athlete.nodes] == ["token -1 of slot 'varies'"] * 2
    assert str(last.nodes[0].at) == "token -1 of the prompt"
    assert body.prompts[1].slots[VARIES].text == "Lionel Messi"
    assert misfits(body, IDS) == [] and body.unready() is None
    assert body.split.seen == (JORDAN,) and [p.use for p in body.prompts] == ["discovery"] + ["test"] * 5
    assert body.stop.fewest_units == 5 and body.controls[0].sets == 199


def test_places_are_counted_from_where_all_prompts_are_the_same() -> None:
    texts = [JORDAN, "Lionel Messi plays the sport of"]
    own = SlottedText(text=JORDAN)
    said = [str(place) for place in places(range(7), own, texts, IDS)]
    assert said[0] == "token 0 of the prompt" and said[6] == "token -1 of the prompt"
    assert said[3] == "token -4 of the prompt"
    with_slot = SlottedText(text=JORDAN, slots=slot_finder(pasted("\n".join(texts)))(JORDAN))
    said = [str(place) for place in places((1, 2, 3), with_slot, texts, IDS)]
    assert said == ["token 0 of slot 'varies'", "token -1 of slot 'varies'", "token -4 of the prompt"]


def test_slots_of_a_template_are_found_on_the_prompt_of_the_circuit() -> None:
    made = Template(text="{name} plays the {game} of", slots={"name": ("A", "B"), "game": ("sport",)}).prompts()
    found = slot_finder([*made, Prompt(text=JORDAN)])(JORDAN)
    assert {name: (slot.text, slot.start) for name, slot in found.items()} == {
        "name": ("Michael Jordan", 0),
        "game": ("sport", 25),
    }
    assert slot_finder(made)("something else") == {}


@pytest.mark.parametrize(
    "lines",
    ["one", "one two\nthree four", "a b c\na b", "a  b\na b", "same\nsame x", " ".join("ab") + "\n" + "é b"],
)
def test_where_nothing_is_shared_there_are_no_slots_and_what_is_found_stands_there(lines: str) -> None:
    prompts = pasted(lines)
    find = slot_finder(prompts)
    for prompt in prompts:
        for slot in find(prompt.text).values():
            assert prompt.text[slot.start : slot.end] == slot.text


def test_adjacent_slots_and_hostile_patterns_end_soon() -> None:
    names = [f"s{i}" for i in range(20)]
    made = Template(text="".join(f"{{{n}}}" for n in names) + "b", slots={n: ("a",) for n in names}).prompts()
    assert slot_finder(made)("a" * 10_000 + "b") == {}


def test_a_place_that_was_put_by_hand_stays() -> None:
    draft = writing()
    body = body_of(draft)
    placed = [(draft.pieces[0], at, node) for at, node in enumerate(body.circuit[0].nodes)]
    table = pd.DataFrame({"slot": [None, ""], "token": [-4, -4]})
    assert take_places(placed, table) is None
    assert [str(node.at) for node in body_of(draft).circuit[0].nodes] == ["token -4 of the prompt"] * 2
    assert "slot" in (take_places(placed, pd.DataFrame({"slot": ["a b", None], "token": [-1, -1]})) or "")


# The record and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metric": "kl", "direction": "increase", "exclusion": {"rule": "none"}},
        {"metric": "probability", "exclusion": {"rule": "rank", "bound": 3}, "smallest_effect": 0.1, "notebook": "n"},
        {"kind": "no_effect", "direction": "two_sided", "controls": []},
        {
            "kind": "mediation",
            "mediators": [{"name": "later", "nodes": [{"layer": 20, "feature": 3}]}],
            "controls": [{"kind": "directions", "sets": 499, "seed": 0}, {"kind": "sign", "sets": 1, "seed": 9}],
        },
        {
            "intervention": {
                "settings": [{"supernode": "sport", "unit": "value", "primary": 0.1, "others": [1e-9, -3.5e11]}],
                "protocol": "constrained",
                "layers": [2, 9],
            },
            "off_target": [{"text": "Tokyo is in", "slots": {"name": "Tokyo"}, "target": " Japan"}],
            "alpha": 0.01,
            "correction": "holm",
            "notes": "a\nb",
        },
    ],
)
def test_a_record_that_is_opened_makes_itself_again(changes: dict[str, Any]) -> None:
    body = frozen_ready(**changes)
    assert of_body(body, "x").body(IDS, "not this") == body
    file = read(write(HypothesisFile(hypothesis=body)).encode())
    assert of_body(file.hypothesis, "x").body(IDS, "") == body


def test_what_makes_no_sense_is_refused_in_one_line() -> None:
    for fields, words in (
        ({"kind": "mediation"}, "mediators"),
        ({"kind": "equivalence", "direction": "two_sided"}, "second_circuit"),
        ({"title": " "}, "title"),
        ({"prompts": []}, "prompts"),
        ({"smallest": 0.0}, "smallest_effect"),
    ):
        with pytest.raises(ValidationError, match=words):
            body_of(writing(**fields))
    draft = writing()
    draft.pieces[0].others = "0, zero"
    with pytest.raises(ValidationError, match=r"others\.1"):
        body_of(draft)
    draft.pieces[0].others = "\u22123; 0"
    with pytest.raises(ValidationError, match="as many for each supernode"):
        body_of(draft)
    draft.pieces[1].others = "1 1e3"
    assert body_of(draft).intervention.doses[1:] == [(-3.0, 1.0), (0.0, 1000.0)]


def test_mediators_and_second_circuits_are_parts_of_their_own() -> None:
    draft = writing(kind="mediation")
    draft.pieces[1].mediates, draft.pieces[1].on = True, False
    body = body_of(draft)
    assert [s.name for s in body.mediators] == ["L13 · 1012"] and [s.name for s in body.circuit] == ["athlete"]
    assert "goes through “L13 · 1012”" in body.claim
    other = Piece("other", (Node(2, 3, 6),), found_on=JORDAN, second=True)
    draft = writing(kind="equivalence", direction="two_sided", controls=())
    draft.pieces.append(other)
    assert [s.name for s in body_of(draft).second_circuit] == ["other"]
    draft.kind = "necessity"
    draft.direction = "decrease"
    draft.controls = writing().controls
    assert body_of(draft).second_circuit == (), "it waits until the kind is equivalence again"


def test_families_are_given_to_all_or_none_and_tokens_where_they_are_needed() -> None:
    draft = writing()
    draft.prompts[1] = draft.prompts[1].model_copy(update={"family": "Messi"})
    body = body_of(draft)
    assert body.prompts[1].family == "Messi" and body.prompts[0].family == JORDAN == body.split.seen[0]
    assert body.prompts[0].target == " basketball" and body.prompts[0].competitor == " golf"
    draft.metric, draft.rule = "probability", "none"
    assert body_of(draft).prompts[0].competitor is None


# Fields ---------------------------------------------------------------------------------------------------------------


def test_kind_and_metric_bring_their_direction_and_the_claim_follows_until_it_is_typed() -> None:
    draft = writing()
    assert in_words(draft).startswith("“athlete” and “L13 · 1012” are needed")
    assert "−1 × their own activation lowers the logit difference" in in_words(draft)
    for kind in ("sufficiency", "specificity", "no_effect", "equivalence", "mediation", "necessity"):
        take_kind(draft, kind)
        assert in_words(draft) and draft.direction == natural_direction(draft)
        assert bool(draft.controls) == (kind not in ("no_effect", "equivalence"))
    take_metric(draft, "rank")
    assert (draft.direction, draft.smallest) == ("increase", 1.0)
    take_metric(draft, "kl")
    assert draft.direction == "increase"
    take_claim(draft, "Mine.")
    assert body_of(draft).claim == "Mine."
    take_claim(draft, "  ")
    assert body_of(draft).claim == in_words(draft)


def test_what_is_enough_is_raised_where_it_is_not_and_what_was_chosen_stays() -> None:
    draft = writing()
    take_kind(draft, "sufficiency")
    assert {(piece.amount, piece.others) for piece in draft.pieces} == {(2.0, "-2, -1, 0, 0.5")}
    assert (draft.direction, body_of(draft).exclusion.rule, draft.revision) == ("increase", "none", 1)
    assert "enough to bring the behaviour about: setting them to 2 ×" in in_words(draft)
    take_kind(draft, "necessity")
    assert {(piece.amount, piece.others) for piece in draft.pieces} == {(-1.0, "-2, 0, 0.5, 2")}
    assert (draft.direction, draft.rule, draft.bound) == ("decrease", "logit_difference", 0.0)
    draft.pieces[0].amount, draft.bound = 0.0, 1.0
    take_kind(draft, "sufficiency")
    assert [piece.amount for piece in draft.pieces] == [0.0, 2.0]
    assert (draft.rule, draft.bound) == ("logit_difference", 1.0)


def test_a_field_that_was_replaced_changes_nothing_any_more() -> None:
    draft = writing()
    old = of_now(draft, lambda: take_metric(draft, "rank"))
    old()
    assert draft.metric == "rank"
    take_kind(draft, "sufficiency")
    take_metric(draft, "probability")
    old()
    assert draft.metric == "probability"


def test_claims_that_nothing_is_there_take_as_few_units_as_they_are_said_to() -> None:
    draft = writing(kind="no_effect", direction="two_sided", controls=(), fewest=None)
    body = body_of(draft)
    assert body.stop.fewest_units == 5 and power_words(draft, body)[0]
    assert writing(direction="two_sided").fewest_units == 6


def test_a_supernode_that_is_set_otherwise_gets_doses_that_go_with_it() -> None:
    piece = Piece("a", (Node(1, 2, 3),))
    row: dict[str, Any] = {"set": True, "supernode": "b", "unit": "× own", "to": -1.0, "other doses": piece.others}
    assert not take([piece], pd.DataFrame([row])) and piece.name == "b"
    assert take([piece], pd.DataFrame([row | {"to": -2.0}]))
    assert (piece.amount, piece.others) == (-2.0, "-1, 0, 0.5, 2")
    assert take([piece], pd.DataFrame([row | {"to": -2.0, "unit": "value"}]))
    assert (piece.unit, piece.amount) == ("value", 0.0)
    typed = row | {"to": 3.0, "unit": "value", "other doses": "7"}
    assert not take([piece], pd.DataFrame([typed])) and piece.others == "7"
    for unit, amount in (("factor", -1.0), ("factor", 3.0), ("value", 0.0), ("value", 5.0), ("donor", 1.0)):
        found = [float(x) for x in doses(unit, amount).split(", ")]
        assert len(set(found)) == 4 and amount not in found


def test_prompts_are_added_once_and_a_table_keeps_their_slots() -> None:
    draft = writing()
    made = Template(text="{name} plays", slots={"name": ("Tom", "<b>Al</b>")}).prompts()
    assert add(draft, made) == "2 added." and add(draft, made) == "0 added, 2 were there already."
    with pytest.raises(LabError, match="at most"):
        add(draft, [Prompt(text=str(n)) for n in range(1_000)])
    table = frame(draft.prompts, donors=False)
    table.loc[6, "target"] = " golf"
    table.loc[7, "prompt"] = "other text"
    table.loc[8, ["prompt", "target"]] = [None, " x"]
    found, _, fault = read_table(table, draft.prompts)
    assert found[6].target == " golf" and found[6].slots["name"].text == "Tom"
    assert found[7].slots == {} and fault is not None and "row 9" in fault
    table.loc[6, "competitor"] = " golf"
    found, refused, fault = read_table(table, draft.prompts)
    assert len(found) == 7 and fault is not None and "row 7: target and competitor are both ' golf'" in fault
    assert [(one.at, one.row["prompt"], one.row["target"]) for one in refused] == [
        (6, "Tom plays", " golf"),
        (8, None, " x"),
    ]


def test_a_row_that_can_not_be_a_prompt_stays_where_it_is_until_it_can() -> None:
    draft = writing()
    donor = SlottedText(text="Tim plays", slots={"name": Slot(text="Tim", start=0)})
    (tom,) = Template(text="{name} plays", slots={"name": ("Tom",)}).prompts()
    draft.prompts.insert(2, tom.model_copy(update={"donor": donor}))
    table = frame(draft.prompts, donors=False)
    table.loc[2, ["target", "competitor"]] = " golf"
    table.loc[7, ["prompt", "target"]] = [None, " x"]
    take_table(draft, table)
    assert len(draft.prompts) == 6 and "row 3" in (draft.faults["prompts"] or "")
    assert add(draft, [tom, Prompt(text="new")]) == "1 added, 1 were there already."
    for donors in (False, True):  # the table is made anew
        table = frame(draft.prompts, donors, draft.refused)
        assert list(table["prompt"][2:4]) == ["Tom plays", draft.prompts[2].text] and table["target"][7] == " x"
        take_table(draft, table)
        assert "row 3" in (draft.faults["prompts"] or "") and len(draft.prompts) == 7
    table.loc[2, "competitor"] = " tennis"
    take_table(draft, table)
    assert "row 8" in (draft.faults["prompts"] or "")
    assert draft.prompts[2].slots == tom.slots and draft.prompts[2].donor == donor
    take_table(draft, table.drop(index=7))
    assert draft.faults["prompts"] is None and not draft.refused and len(draft.prompts) == 8


def test_what_is_set_for_all_is_set_for_all_or_none() -> None:
    draft = writing()
    draft.prompts[1] = draft.prompts[1].model_copy(update={"target": " soccer"})
    before, revision = list(draft.prompts), draft.revision
    take_for_all(draft, {"target": "", "competitor": " soccer", "family": "f"})
    assert draft.prompts == before and draft.revision == revision
    assert draft.said is not None and draft.said[0] and "target and competitor are both" in draft.said[1]
    take_for_all(draft, {"target": " golf", "competitor": " soccer", "family": ""})
    assert {(p.target, p.competitor, p.family) for p in draft.prompts} == {(" golf", " soccer", None)}
    assert draft.said is None and draft.revision == revision + 1


def test_off_target_prompts_mark_what_stands_for_a_slot() -> None:
    prompt = marked("{Paris} is in", ["name"])
    assert (prompt.text, prompt.slots["name"].text) == ("Paris is in", "Paris")
    assert in_line(prompt, ["name"]) == "{Paris} is in"
    two = marked("the {thing=sun} of {Paris}!", ["name", "thing"])
    assert two.text == "the sun of Paris!" and in_line(two, ["name", "thing"]) == "the {thing=sun} of {Paris}!"
    assert marked("def f(): {1}", []).text == "def f(): {1}"
    draft = writing()
    take_off_target(draft, "a b\n\na b", [])
    assert "repeats" in (draft.faults["off-target"] or "")
    take_off_target(draft, "a b\nc", [])
    assert draft.faults["off-target"] is None and [p.text for p in draft.off_target] == ["a b", "c"]
    take_off_target(draft, "", [])
    assert draft.off_target == ()


def test_controls_are_drawn_with_seeds_of_their_own() -> None:
    draft = writing()
    take_controls(draft, ["directions", "sign"], 99, 2**32 - 1)
    assert [(f.kind, f.sets, f.seed) for f in draft.controls] == [("directions", 99, 2**32 - 1), ("sign", 1, 0)]
    take_controls(draft, ["sign", "features"], 199, 0)
    take_alpha(draft, 0.01)
    assert [family.sets for family in draft.controls] == [1, 199], "as many as before, which is enough"


def test_power_says_what_is_seen_or_how_many_are_missing() -> None:
    draft = writing()
    reached, words = power_words(draft, body_of(draft))
    assert reached and "5 test prompts" in words and f"{effect_seen(5, two_sided=False):.2g}" in words
    draft.baselines[asked(draft.prompts[2])] = Baseline(" a", " b", -1.0, 0.1, 2)
    assert list(baseline_table(draft, body_of(draft))["side"])[:4] == ["discovery", "test", "left out", "test"]
    reached, words = power_words(draft, body_of(draft))
    assert not reached and "4 test prompts can't reach α = 0.05: 5 are needed, 1 more" in words
    draft.rule = "none"
    draft.direction = "two_sided"
    assert "6 are needed" in power_words(draft, body_of(draft))[1]


@pytest.mark.parametrize(("units", "two_sided"), [(2, True), (12, False), (300, True)])
def test_the_effect_that_is_seen_has_the_power_that_was_asked_for(units: int, two_sided: bool) -> None:
    seen = effect_seen(units, 0.8, 0.05, two_sided)
    assert power(seen, units, 0.05, two_sided) == pytest.approx(0.8, abs=1e-3)


def test_slots_of_templates_are_named_or_refused() -> None:
    assert slot_names("{a} and {b}", " {a}", "{{x}}") == ["a", "b"]
    for wrong in ("{", "{0}", "{a.b}", "{a!r}"):
        with pytest.raises(LabError):
            slot_names(wrong)


def test_a_thousand_prompts_make_a_record() -> None:
    draft = writing(prompts=list(pasted("\n".join(f"Babe {n} plays the sport of" for n in range(1_000)))))
    draft.metric, draft.rule, draft.direction = "kl", "none", "increase"
    assert len(body_of(draft).prompts) == 1_000
