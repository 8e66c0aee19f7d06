"""Prompt sets from templates, lines and files; and whether they fit a tokenizer: each edit at its own token."""

from typing import Any

import pytest
from pydantic import ValidationError

from lab import LabError, Prompt, Slot, Template, TokenPlace, misfits, pasted, read_csv
from lab.prompt_sets import MOST_CSV_BYTES
from lab.prompts import MOST_PROMPTS
from lab.token_places import next_token, position, slot_tokens
from tests.helpers import tokenizer
from tests.lab.hypotheses import body, hypothesis
from tests.lab.tokens import Words
from tracer.errors import first_fault

SPORTS = "{name} plays the sport of"
WORDS = Words()


def refused(row: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Prompt.model_validate(row)
    return first_fault(caught.value)


# Slots ----------------------------------------------------------------------------------------------------------------


def test_a_slot_given_by_its_text_is_where_that_stands() -> None:
    prompt = Prompt.model_validate({"text": "Fact: Babe Ruth plays", "slots": {"name": "Babe Ruth"}})
    assert prompt.slots == {"name": Slot(text="Babe Ruth", start=6)}
    assert Prompt.model_validate_json(prompt.model_dump_json()) == prompt


def test_slots_that_are_not_there_are_refused() -> None:
    text = "Ruth plays, says Ruth"
    assert "'Babe' does not stand in the prompt" in refused({"text": text, "slots": {"name": "Babe"}})
    assert "stands in the prompt twice: give text and start" in refused({"text": text, "slots": {"name": "Ruth"}})
    moved = {"text": text, "slots": {"name": {"text": "Ruth", "start": 16}}}
    assert "does not stand at character 16" in refused(moved)
    assert Prompt.model_validate(moved | {"slots": {"name": {"text": "Ruth", "start": 17}}}).slots["name"].start == 17
    assert "slots" in refused({"text": text, "slots": {"no name": "Ruth plays"}})
    assert "give two tokens" in refused({"text": text, "target": " a", "competitor": " a"})


# Templates ------------------------------------------------------------------------------------------------------------


def test_zipped_slots_give_one_prompt_a_row() -> None:
    template = Template(
        text=SPORTS,
        slots={"name": ("Michael Jordan", "Lionel Messi"), "sport": ("basketball", "soccer")},
        rows="zipped",
        family="{name}",
        target=" {sport}",
        competitor=" golf",
    )
    assert template.prompts() == (
        Prompt(
            text="Michael Jordan plays the sport of",
            slots={"name": Slot(text="Michael Jordan", start=0)},
            family="Michael Jordan",
            target=" basketball",
            competitor=" golf",
        ),
        Prompt(
            text="Lionel Messi plays the sport of",
            slots={"name": Slot(text="Lionel Messi", start=0)},
            family="Lionel Messi",
            target=" soccer",
            competitor=" golf",
        ),
    )


def test_a_product_gives_every_combination_and_a_second_slot_a_number() -> None:
    prompts = Template(text="{a} and {b} met, {a} {{said}}", slots={"a": ("Ann", "Bob"), "b": ("Cy", "Di")}).prompts()
    assert [prompt.text for prompt in prompts] == [
        "Ann and Cy met, Ann {said}",
        "Ann and Di met, Ann {said}",
        "Bob and Cy met, Bob {said}",
        "Bob and Di met, Bob {said}",
    ]
    assert {name: slot.start for name, slot in prompts[0].slots.items()} == {"a": 0, "b": 8, "a_2": 16}
    assert prompts[0].family is None and prompts[0].target is None


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ({"text": "{name} of {place}", "slots": {"name": ["x"]}}, "{place} is not filled: give it under slots"),
        ({"text": "{name}", "slots": {"name": ["x"], "idle": ["y"]}}, "slot 'idle' stands nowhere"),
        ({"text": "{a} {b}", "slots": {"a": ["x"], "b": ["y", "z"]}, "rows": "zipped"}, "need as many fillings each"),
        ({"text": "{a} {b}", "slots": {"a": list("xyz") * 20, "b": list("xyz") * 20}}, "makes 3,600 prompts"),
        ({"text": "{a}", "slots": {"a": []}}, "makes 0 prompts; fill each slot"),
        ({"text": "{a.__class__}", "slots": {"a": ["x"]}}, "a slot is written {name}"),
        ({"text": "{a!r}", "slots": {"a": ["x"]}}, "a slot is written {name}"),
        ({"text": "{a:>99999999}", "slots": {"a": ["x"]}}, "a slot is written {name}"),
        ({"text": "{}", "slots": {"a": ["x"]}}, "a slot is written {name}"),
        ({"text": "{a", "slots": {"a": ["x"]}}, "write {{ or }} for a brace"),
        ({"text": "no slot", "slots": {}}, "slots"),
    ],
)
def test_templates_that_make_no_sense_are_refused(template: dict, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Template.model_validate(template)
    assert says in first_fault(caught.value)


def test_a_filling_that_makes_no_prompt_is_named() -> None:
    with pytest.raises(LabError, match="filling 3 repeats filling 1"):
        Template(text=SPORTS, slots={"name": ("A", "B", "A")}).prompts()
    with pytest.raises(LabError, match="filling 2: target and competitor are both ' a'"):
        Template(text=SPORTS, slots={"name": ("b", "a")}, target=" {name}", competitor=" a").prompts()


# Lines and files ------------------------------------------------------------------------------------------------------


def test_pasted_lines() -> None:
    assert [prompt.text for prompt in pasted("  one \r\n\n\ttwo\nthree")] == ["one", "two", "three"]
    with pytest.raises(LabError, match="line 4 repeats line 1: a prompt counts once"):
        pasted("one\n\ntwo\n one ")
    with pytest.raises(LabError, match=r"line 2: text: .*; correct it"):
        pasted("one\nt\x00wo")
    with pytest.raises(LabError, match="there is no prompt"):
        pasted(" \n ")
    with pytest.raises(LabError, match=f"line {MOST_PROMPTS + 1}: there are more than 1,000 prompts"):
        pasted("\n".join(map(str, range(MOST_PROMPTS + 5))))


def test_csv_with_a_mark_at_its_start_quotes_and_slots() -> None:
    text = (
        "prompt,target,slot:name,family,competitor\r\n"
        '"Ruth, Babe, plays"," baseball","Ruth, Babe",Ruth, golf\r\n'
        "\r\n"
        '"two\nlines",,,,\r\n'
    )
    first, second = read_csv(b"\xef\xbb\xbf" + text.encode())
    assert first == Prompt(
        text="Ruth, Babe, plays",
        target=" baseball",
        competitor=" golf",
        family="Ruth",
        slots={"name": Slot(text="Ruth, Babe", start=0)},
    )
    assert second == Prompt(text="two\nlines")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1 names no column prompt"),
        (b"prompt;target\na;b", "line 1 names no column prompt: give a header such as prompt,family,target,competitor"),
        (b"prompt,colour\na,b", "line 1: there is no column 'colour'"),
        (b"prompt,slot:\na,b", "line 1: there is no column 'slot:'"),
        (b"prompt,prompt\na,b", "line 1 has the column 'prompt' twice"),
        (b"prompt,target\na,b\nc", "line 3 has 1 cells where the header has 2"),
        (b"prompt,target\na,b,c", "line 2 has 3 cells where the header has 2"),
        (b'prompt,target\n"x\ny",b\n,d', "line 4 has no prompt"),
        (b"prompt,target\na,b\na,c", "line 3 repeats line 2"),
        (b"prompt,slot:name\na,b", "line 2: slot 'name': 'b' does not stand in"),
        (b'prompt\na\n"b" c', "line 3 is no CSV"),
        (b'prompt\na\n"b', "line 3 is no CSV"),
        (b"prompt\na\nb\xff", "line 3 is not UTF-8 text: save the file as UTF-8"),
        ("prompt\nä".encode("utf-16"), "line 1 is not UTF-8 text"),
        (b"prompt\n" + b"x" * 200_000, "line 2 is no CSV"),
        (b"prompt\n" + b"x" * MOST_CSV_BYTES, "larger than 1,000,000 bytes: split it"),
        (b"prompt\n\n", "there is no prompt"),
    ],
)
def test_csv_faults_name_their_line(content: bytes, says: str) -> None:
    with pytest.raises(LabError) as caught:
        read_csv(content)
    assert says in str(caught.value) and "\n" not in str(caught.value)


# Tokens ---------------------------------------------------------------------------------------------------------------


def slotted(text: str, **slots: str) -> Prompt:
    return Prompt.model_validate({"text": text, "slots": slots})


@pytest.mark.parametrize(
    ("text", "slot", "pieces"),
    [
        ("Michael Jordan plays", "Michael Jordan", ["Michael", " Jordan"]),
        ("Lionel Messi plays", "Lionel Messi", ["Lion", "el", " Messi"]),
        ("the sport of", "sport", [" sport"]),  # the space before it is part of its token
        ("In basketball", "basketball", [" basketball"]),
        ("Dr  Michael", "Michael", ["Michael"]),  # where it is not, it is none of the slot
        ("Babe\n\nRuth", "Ruth", ["R", "u", "t", "h"]),
    ],
)
def test_a_slot_is_found_among_the_tokens(text: str, slot: str, pieces: list[str]) -> None:
    tokens = slot_tokens("s", slotted(text, s=slot), WORDS.ids)
    assert [WORDS.pieces(text)[i] for i in tokens] == pieces


def test_a_place_is_the_same_token_on_prompts_of_any_length() -> None:
    for name, last in (("Michael Jordan", 2), ("Lionel Messi", 3), ("Babe Ruth", 2)):
        prompt = slotted(f"{name} plays the sport of", name=name)
        n = len(WORDS.ids(prompt.text))
        assert position(TokenPlace(slot="name"), prompt, WORDS.ids) == last
        assert position(TokenPlace(slot="name", token=0), prompt, WORDS.ids) == 1
        assert position(TokenPlace(), prompt, WORDS.ids) == n - 1
        assert position(TokenPlace(token=0), prompt, WORDS.ids) == 0
        with pytest.raises(LabError, match="there is no token 3 of slot 'name'"):
            position(TokenPlace(slot="name", token=3), prompt, WORDS.ids)
    with pytest.raises(LabError, match="it has no slot 'name'"):
        position(TokenPlace(slot="name"), slotted("Babe"), WORDS.ids)
    with pytest.raises(LabError, match="slot 'name' is not whole tokens: the tokenizer joins 'basket' with"):
        slot_tokens("name", slotted("In basketball", name="basket"), WORDS.ids)


def test_the_next_token_is_what_the_text_becomes_right_after_the_prompt() -> None:
    prompt = slotted("Michael Jordan plays")
    assert WORDS.inner.decode([next_token(" basketball", prompt, WORDS.ids)]) == " basketball"
    with pytest.raises(LabError, match="' football' is 2 tokens after this prompt"):
        next_token(" football", prompt, WORDS.ids)
    with pytest.raises(LabError, match="joins 'ball' with the end of the prompt"):
        next_token("ball", slotted("In basket"), WORDS.ids)


def jordan_and(*others: dict[str, Any], places: list[dict], **changes: Any) -> list[str]:
    """What does not fit where a feature is set at a place of these prompts."""
    jordan = {"text": "Michael Jordan plays the sport of", "slots": {"name": "Michael Jordan"}}
    asked = {"target": " basketball", "competitor": " golf"}
    circuit = [{"name": "sport", "nodes": [{"layer": 3, "feature": 5, "at": place} for place in places]}]
    return misfits(body(prompts=[jordan | asked, *others], circuit=circuit, split={"seed": 1}, **changes), WORDS.ids)


MESSI = {
    "text": "Lionel Messi plays the sport of",
    "slots": {"name": "Lionel Messi"},
    "target": " soccer",
    "competitor": " golf",
}


@pytest.mark.parametrize(
    "places",
    [
        [{"token": -1}],
        [{"token": 0}],
        [{"token": -4}],  # the same word, although the prompts have other lengths
        [{"slot": "name", "token": 0}, {"slot": "name", "token": -1}],
    ],
)
def test_prompts_that_fit(places: list[dict]) -> None:
    assert jordan_and(MESSI, places=places) == []


@pytest.mark.parametrize(
    ("places", "other", "says"),
    [
        ([{"token": 2}], MESSI, "token 2 of the prompt is not the same on prompt 1"),
        ([{"slot": "name", "token": 1}], MESSI, "not the same where the slot has 2 tokens (prompt 1"),
        ([{"slot": "name", "token": 2}], MESSI, "prompt 1 ('Michael Jordan plays the sport of'): there is no token 2"),
        (
            [{"slot": "name", "token": 0}, {"slot": "name"}],
            {"text": "Michael plays the sport of", "slots": {"name": "Michael"}},
            "prompt 2 ('Michael plays the sport of'): token 0 of slot 'name' and token -1 of slot 'name' are one token",
        ),
        ([{"token": -1}], {"target": " football"}, "' football' is 2 tokens after this prompt"),
    ],
)
def test_prompts_that_do_not_fit_are_named(places: list[dict], other: dict, says: str) -> None:
    found = jordan_and(MESSI | other, places=places)
    assert len(found) == 1 and says in found[0] and "\n" not in found[0]


def test_off_target_prompts_and_donors_must_have_the_places_too() -> None:
    places = [{"slot": "name"}]
    assert (
        jordan_and(MESSI, places=places, off_target=[{"text": "In basketball", "slots": {"name": "basketball"}}]) == []
    )
    (found,) = jordan_and(MESSI, places=places, off_target=[{"text": "In basketball", "slots": {"name": "basket"}}])
    assert found.startswith("off-target prompt 1 ('In basketball'): slot 'name' is not whole tokens")


def test_two_texts_that_are_one_token_are_no_competitors() -> None:
    plain = tokenizer()
    prompts = [{"text": "w1 w2", "target": " strange", "competitor": " stranger"}]
    (found,) = misfits(
        body(prompts=prompts, circuit=hypothesis()["circuit"][:1], split={"seed": 1}),
        lambda text: plain(text)["input_ids"],
    )
    assert found == "prompt 1 ('w1 w2'): target and competitor are the same token: give two"
