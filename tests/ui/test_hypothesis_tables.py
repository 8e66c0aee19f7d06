"""The circuit and the prompts of a hypothesis as tables."""

from tests.lab.hypotheses import ready
from ui.hypothesis_tables import circuit_table, prompt_table


def test_tables() -> None:
    circuit = circuit_table(ready())
    assert circuit["part"].tolist() == ["circuit, set", "circuit, watched"] and "largest known" not in circuit
    assert circuit["at"].tolist()[1] == str(ready().circuit[1].nodes[0].at)
    prompts = prompt_table(ready(off_target=[{"text": "a b", "slots": {"name": "b"}}]))
    assert prompts["use"].value_counts().to_dict() == {"test": 4, "discovery": 2, "off-target": 1}
    assert "donor" not in prompts and prompts["slots"][0] == "name: Michael Jordan"
