"""The circuit and the prompts of a hypothesis as tables. Knows no page."""

from collections.abc import Sequence

import pandas as pd

from lab.claim import Supernode
from lab.hypothesis import HypothesisBody
from lab.prompts import Prompt


def circuit_table(body: HypothesisBody) -> pd.DataFrame:
    """Node by node."""
    edited = {setting.supernode for setting in body.intervention.settings}
    parts: list[tuple[str, Sequence[Supernode]]] = [
        ("circuit", body.circuit),
        ("second circuit", body.second_circuit),
        ("mediator, held", body.mediators),
    ]
    found = [
        {
            "supernode": supernode.name,
            "part": f"{part}, set" if supernode.name in edited else part if "held" in part else f"{part}, watched",
            "layer": node.layer,
            "feature": str(node.feature),
            "at": str(node.at),
            "largest known": node.maximum,
        }
        for part, supernodes in parts
        for supernode in supernodes
        for node in supernode.nodes
    ]
    table = pd.DataFrame(found)
    return table.drop(columns="largest known") if table["largest known"].isna().all() else table


def prompt_table(body: HypothesisBody) -> pd.DataFrame:
    """The prompts with their use, then those where the edit should do little."""
    every: list[tuple[Prompt, str]] = [(prompt, prompt.use or "not split yet") for prompt in body.prompts]
    every += [(prompt, "off-target") for prompt in body.off_target]
    table = pd.DataFrame([_prompt_row(prompt, use) for prompt, use in every])
    empty = [name for name in ("target", "competitor", "family", "slots", "donor") if not table[name].any()]
    return table.drop(columns=empty)


def _prompt_row(prompt: Prompt, use: str) -> dict[str, str]:
    return {
        "prompt": prompt.text,
        "use": use,
        "target": prompt.target or "",
        "competitor": prompt.competitor or "",
        "family": prompt.family or "",
        "slots": ", ".join(f"{name}: {slot.text}" for name, slot in prompt.slots.items()),
        "donor": "" if prompt.donor is None else prompt.donor.text,
    }
