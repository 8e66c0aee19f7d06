"""A hypothesis about a tiny model: made-up prompts, on one of which the behaviour is not shown."""

import random
from typing import Any

from lab import About, HypothesisBody, HypothesisFile, Lab, Person
from tests.helpers import replacement, tiny_llama
from tracer import ReplacementModel

NOT_SHOWN = 7  # the number of the prompt that is excluded


def model() -> ReplacementModel:
    return replacement(tiny_llama())


def prompts(n: int = 8) -> list[dict[str, Any]]:
    """Of 6 to 8 tokens, the slot at different places."""
    words, found = random.Random(0), []
    for i in range(n):
        text = [f"w{words.randrange(59)}" for _ in range(5 + i % 3)]
        at = 1 + i % 2
        slot = {"text": text[at], "start": len(" ".join(text[:at])) + 1}
        target = {"target": " w3", "competitor": " w9", "family": f"family {i}"}
        found.append({"text": " ".join(text), "slots": {"name": slot}} | target)
    return found


DONOR = {"text": "w5 w40 w6 w7", "slots": {"name": "w40"}}
INTERCHANGES = {  # a claim of sufficiency: set to what they are on the donor
    "kind": "sufficiency",
    "direction": "increase",
    "intervention": {"settings": [{"supernode": "set", "unit": "donor", "primary": 1, "others": [0, 2]}]},
    "prompts": [prompt | {"donor": DONOR} for prompt in prompts()],
    "off_target": [{"text": "w30 w31 w32", "slots": {"name": "w31"}, "donor": DONOR}],
}


def hypothesis(**changes: Any) -> HypothesisBody:
    """With these fields changed; None leaves one out. Its prompts are split."""
    whole: dict[str, Any] = {
        "title": "Tiny",
        "claim": "Two neurons lower w3.",
        "kind": "necessity",
        "model": "tiny",
        "features": "neurons",
        "model_fingerprint": "0" * 64,
        "basis_fingerprint": "neurons",
        "circuit": [
            {
                "name": "set",
                "nodes": [{"layer": 1, "feature": 7}, {"layer": 1, "feature": 9, "at": {"slot": "name"}}],
            },
            {"name": "seen", "nodes": [{"layer": 2, "feature": 3}, {"layer": 2, "feature": 5, "at": {"slot": "name"}}]},
        ],
        "intervention": {"settings": [{"supernode": "set", "primary": -1, "others": [0, 1, 2]}]},
        "prompts": prompts(),
        "split": {"seed": 1},
        "off_target": [{"text": "w30 w31 w32", "slots": {"name": "w31"}}],
        "direction": "decrease",
        "smallest_effect": 0.01,
        "controls": [{"seed": 5, "sets": 19}, {"kind": "directions", "seed": 6, "sets": 3}],
        "exclusion": {"rule": "logit_difference", "bound": -1.5},
        "stop": {"fewest_units": 4},
        "seed": 3,
    }
    told = {name: value for name, value in (whole | changes).items() if value is not None}
    return HypothesisBody.model_validate(told).with_split()


def frozen(lab: Lab, author: Person, body: HypothesisBody) -> HypothesisFile:
    id = lab.create(author, About(), body).id
    lab.freeze(id, author, 1)
    return lab.hypothesis_file(id, 1, author)
