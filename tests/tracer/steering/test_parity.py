"""Every intervention of circuit-tracer's nine cases: its logits, to the tolerance of the set."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.tracer.test_parity import CASES, PARITY, loaded
from tracer import Edit


def asked(item, n_layers):
    """Edits, protocol and layers of an intervention, in our words."""
    edits = []
    for e in item["interventions"]:
        at = e["position"]
        at = slice(at["start"], at["stop"]) if isinstance(at, dict) else at
        edits.append(Edit(e["layer"], at, e["feature"], value=e["value"]))
    held = item["constrained_layers"]
    if held is None:
        return edits, "clamp" if item["freeze_attention"] else "free", None
    layers = held["start"], held["stop"]
    return (edits, "direct", None) if layers == (0, n_layers) else (edits, "constrained", layers)


@pytest.mark.parametrize("case", CASES)
def test_logits_are_circuit_tracers(case):
    model, want, _ = loaded(case)
    theirs = load_file(PARITY / case / "interventions.safetensors")
    seen = set()
    for item in json.loads((PARITY / case / "interventions.json").read_text()):
        edits, protocol, layers = asked(item, model.n_layers)
        ours = model.steer(tokens=want["input_tokens"].tolist(), edits=edits, protocol=protocol, layers=layers)
        torch.testing.assert_close(ours.logits, theirs[item["tensor"]], rtol=0, atol=1e-4)
        torch.testing.assert_close(ours.baseline, theirs["logits_base"], rtol=0, atol=1e-4)
        seen.add(protocol)
    assert seen == {"clamp", "free", "direct", "constrained"}
