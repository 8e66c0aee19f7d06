"""A hypothesis for tests: names play sports, a neuron says which."""

from typing import Any

from lab import HypothesisBody

NAMES = {
    "Michael Jordan": (" basketball", " golf"),
    "Lionel Messi": (" soccer", " tennis"),
    "Tiger Woods": (" golf", " soccer"),
    "Serena Williams": (" tennis", " golf"),
    "Babe Ruth": (" baseball", " chess"),
    "Tom Brady": (" football", " golf"),
}


def prompt(name: str, text: str = "{} plays the sport of") -> dict[str, Any]:
    target, competitor = NAMES[name]
    return {
        "text": text.format(name),
        "slots": {"name": name},
        "family": name,
        "target": target,
        "competitor": competitor,
    }


def hypothesis(**changes: Any) -> dict[str, Any]:
    """As a person would write it, with these fields changed; None leaves one out."""
    whole: dict[str, Any] = {
        "title": "Sports",
        "claim": "Neuron 1012 of layer 13 says which sport it is.",
        "kind": "necessity",
        "model": "gemma-3-270m",
        "features": "neurons",
        "model_fingerprint": "a" * 64,
        "basis_fingerprint": "neurons",
        "circuit": [
            {"name": "sport", "nodes": [{"layer": 13, "feature": 1012}]},
            {"name": "athlete", "nodes": [{"layer": 4, "feature": 7, "at": {"slot": "name", "token": -1}}]},
        ],
        "intervention": {"settings": [{"supernode": "sport", "primary": -1, "others": [0, -2]}]},
        "prompts": [prompt(name) for name in NAMES],
        "split": {"seed": 7, "discovery": 0.2, "seen": ["Michael Jordan"]},
        "direction": "decrease",
        "smallest_effect": 0.5,
        "controls": [{"seed": 11}],
        "exclusion": {"rule": "logit_difference", "bound": 0},
        "stop": {"fewest_units": 4},
        "seed": 3,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def body(**changes: Any) -> HypothesisBody:
    return HypothesisBody.model_validate(hypothesis(**changes))


def ready(**changes: Any) -> HypothesisBody:
    """One that can be frozen."""
    return body(**changes).with_split()
