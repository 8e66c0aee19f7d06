"""Two versions field by field; what is put into a list moves nothing else."""

from lab.differences import Difference, differences
from tests.lab.hypotheses import body, hypothesis, prompt


def test_fields_that_differ() -> None:
    before = body()
    after = body(alpha=0.01, notes="more", controls=[{"seed": 12, "sets": 99}])
    assert differences(before, before) == []
    assert differences(before, after) == [
        Difference("controls › features › sets", "199", "99"),
        Difference("controls › features › seed", "11", "12"),
        Difference("alpha", "0.05", "0.01"),
        Difference("notes", None, "more"),
    ]


def test_a_prompt_more_is_that_alone() -> None:
    told = hypothesis()
    more = {"text": "Pele plays the sport of", "slots": {"name": "Pele"}, "family": "Pele", "target": " soccer"}
    after = body(prompts=[more | {"competitor": " golf"}, *told["prompts"]])
    found = differences(body(), after)
    assert {difference.field.split(" › ")[1] for difference in found} == {"Pele plays the sport of"}
    assert all(difference.before is None for difference in found) and len(found) == 6


def test_items_without_a_name_of_their_own_are_numbered() -> None:
    nodes = [{"layer": 13, "feature": 1012}, {"layer": 4, "feature": 1012}]
    one = [{"name": "sport", "nodes": nodes}]
    two = [{"name": "sport", "nodes": [nodes[0], {"layer": 5, "feature": 1012}]}]
    found = differences(body(circuit=one), body(circuit=two))
    assert found == [Difference("circuit › sport › nodes › 1012 2 › layer", "4", "5")]
    swapped = body(prompts=[prompt("Tom Brady"), *[p for p in hypothesis()["prompts"] if "Brady" not in p["text"]]])
    assert differences(body(), swapped) == []
