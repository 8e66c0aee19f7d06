"""What can't be run, or could not be decided whatever came out, is refused before anything is written."""

from typing import Any

import pytest

from lab import HypothesisFile, Lab, LabError, Person
from lab.runs.run import begin
from tests.lab.runs.tiny import hypothesis, prompts
from tracer import ReplacementModel, TracerError

MEDIATORS = [{"name": "between", "nodes": [{"layer": 2, "feature": 8}]}]
DIRECT = {"settings": [{"supernode": "set", "primary": -1}], "protocol": "direct"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompts": prompts(4)}, "4 units can't reach α = 0.05: .* 5 units are needed"),
        ({"prompts": prompts(5), "direction": "two_sided"}, "5 units can't reach .* 6 units are needed"),
        (
            {"prompts": [prompt | {"family": "one"} for prompt in prompts()], "stop": {"fewest_units": 2}},
            "1 units can't reach",
        ),
        ({"split": {"seed": 1, "discovery": 1.0}}, "there are no test prompts"),
        ({"model_fingerprint": "1" * 64}, "about the model tiny .* load what it names"),
        ({"basis_fingerprint": "other"}, "about the features neurons"),
        ({"prompts": [prompt | {"target": " w3 w4"} for prompt in prompts()]}, "' w3 w4' is 2 tokens .*7 more"),
        ({"kind": "mediation", "mediators": MEDIATORS, "intervention": DIRECT}, "mediators can't be held"),
    ],
)
def test_refusals(lab: Lab, ada: Person, model: ReplacementModel, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(LabError, match=says):
        begin(lab, ada, HypothesisFile(hypothesis=hypothesis(**changes)), model)
    assert lab.find("run", ada) == []


def test_edits_outside_the_model(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    for node in ({"layer": 3, "feature": 1}, {"layer": 1, "feature": 48}):
        for circuit in (
            [{"name": "set", "nodes": [node]}],
            [{"name": "set", "nodes": [{"layer": 1, "feature": 7}]}, {"name": "seen", "nodes": [node]}],
        ):
            with pytest.raises(TracerError, match="is not there"):
                begin(lab, ada, HypothesisFile(hypothesis=hypothesis(circuit=circuit)), model)
    layers = {"settings": [{"supernode": "set", "primary": -1}], "protocol": "constrained", "layers": (1, 9)}
    with pytest.raises(TracerError, match="no range of the model's"):
        begin(lab, ada, HypothesisFile(hypothesis=hypothesis(intervention=layers)), model)


def test_graphs_foretell_logit_differences_alone(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    with pytest.raises(LabError, match="logit differences"):
        begin(lab, ada, HypothesisFile(hypothesis=hypothesis(metric="probability")), model, predicts=True)
