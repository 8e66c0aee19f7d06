"""A hypothesis in words."""

from lab.in_words import decided_beforehand, dose
from tests.lab.hypotheses import body, ready


def test_what_was_decided_beforehand() -> None:
    told = decided_beforehand(ready(notebook="Names", off_target=[{"text": "a b", "slots": {"name": "b"}}]))
    assert told["Edit"] == "sport to −1 × its own activation, then 0, −2"
    assert told["Smallest effect that matters"] == "a fall of more than 0.5 nats on average"
    assert told["Controls"] == "199 sets of other features (they decide), seed 11"
    assert told["Decided by"] == (
        "p ≤ 0.05 against the controls and the 95 % interval; Benjamini–Hochberg over the notebook “Names”"
    )
    assert told["Prompts"].startswith("4 test in 4 families, 2 discovery, which decide nothing; split with seed 7")
    assert told["Left out"].endswith("logit difference (target less competitor) is below 0")
    assert told["Off-target prompts"] == "1, on which the edit should do little"


def test_supernodes_that_are_set_alike_are_named_together_and_what_is_held_is_named() -> None:
    same = {"settings": [{"supernode": name, "primary": -1, "others": [0]} for name in ("sport", "athlete")]}
    made = body(intervention=same)
    assert decided_beforehand(made)["Edit"] == "sport, athlete each to −1 × its own activation, then 0"
    assert dose(made, 1) == "sport, athlete each to 0 × its own activation"
    held = ({"name": "between", "nodes": [{"layer": 20, "feature": 1}]},)
    told = decided_beforehand(body(kind="mediation", mediators=held))
    assert told["Mediators"] == "between: held at what they are without the edit"


def test_other_kinds() -> None:
    nothing = {"kind": "no_effect", "direction": "two_sided", "controls": None}
    told = decided_beforehand(body(**nothing, metric="probability", exclusion={"rule": "none"}))
    assert told["Smallest effect that matters"] == "a mean change within ±0.5 counts as none"
    assert (told["Controls"], told["Left out"]) == ("none", "no prompt") and "not split" in told["Prompts"]
    assert told["Decided by"] == "p ≤ 0.05 of the equivalence test; in no notebook, so not corrected"
    held = {"settings": [{"supernode": "sport", "primary": 2, "unit": "value"}], "protocol": "constrained"}
    told = decided_beforehand(body(intervention=held | {"layers": (1, 14)}, correction="none", notebook="n"))
    assert told["Protocol"].endswith("The layers are 1 to 13.") and "no correction over the" in told["Decided by"]
