"""A hypothesis in words: what it claims, what is done, and how it is decided. Plain text; knows no page."""

from collections.abc import Sequence

import pandas as pd

from lab.claim import ControlFamily, Supernode
from lab.hypothesis import HypothesisBody
from lab.prompts import Prompt
from lab.runs.conclude import CORRECTIONS, UNITS
from lab.runs.words import CONTROLS, METRICS, UNITS_OF_SETTINGS
from lab.splits import units

KINDS = {
    "necessity": "necessity: without the circuit the behaviour goes",
    "sufficiency": "sufficiency: the circuit brings the behaviour about",
    "mediation": "mediation: the effect passes through the mediators",
    "specificity": "specificity: the edit does more than its controls",
    "no_effect": "no effect: the edit does nothing that matters",
    "equivalence": "equivalence: the edits of two circuits do the same",
}
PROTOCOLS = {
    "direct": "direct: attention, norm scales and all MLP outputs are held",
    "constrained": "constrained: attention is held, and MLP outputs in the layers",
    "clamp": "clamp: attention is held",
    "free": "free: nothing is held",
}


def kind_name(kind: str) -> str:
    return kind.replace("_", " ")


def lines(body: HypothesisBody) -> dict[str, str]:
    """What was decided beforehand, by name."""
    intervention = body.intervention
    layers = "" if intervention.layers is None else f" {intervention.layers[0]} to {intervention.layers[1] - 1}"
    told = {
        "Kind": KINDS[body.kind],
        "Model": f"{body.model}, features: {body.features}",
        "Edit": "; ".join(_setting(body, n) for n in range(len(intervention.settings))),
        "Protocol": PROTOCOLS[intervention.protocol] + layers,
        "Metric": METRICS[body.metric],
        "Smallest effect that matters": _smallest(body),
        "Controls": "; ".join(_controls(n, family) for n, family in enumerate(body.controls)) or "none",
        "Decided by": _decision(body),
        "Prompts": _prompts(body),
        "Left out": _exclusion(body),
        "Stop": f"all prompts are run before anything is decided; fewer than {body.stop.fewest_units} units decide"
        " nothing",
    }
    if body.off_target:
        told["Off-target prompts"] = f"{len(body.off_target)}, on which the edit should do little"
    return told


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


def _setting(body: HypothesisBody, n: int) -> str:
    setting = body.intervention.settings[n]
    others = f", then {', '.join(map(amount, setting.others))}" if setting.others else ""
    return f"{setting.supernode} to {amount(setting.primary)} {UNITS_OF_SETTINGS[setting.unit]}{others}"


def amount(value: float) -> str:
    return f"{value + 0.0:g}".replace("-", "−")


def _smallest(body: HypothesisBody) -> str:
    size, unit = amount(body.smallest_effect), UNITS[body.metric]
    size = size if unit == "probability" else f"{size} {unit}"
    if body.kind in ("no_effect", "equivalence"):
        return f"a mean change within ±{size} counts as none"
    way = {"increase": "a rise", "decrease": "a fall", "two_sided": "a change, either way,"}[body.direction]
    return f"{way} of more than {size} on average"


def _controls(n: int, family: ControlFamily) -> str:
    decide = " (they decide)" if n == 0 else ""
    sets = "1 set" if family.sets == 1 else f"{family.sets} sets"
    return f"{sets} of {CONTROLS[family.kind]}{decide}, seed {family.seed}"


def _decision(body: HypothesisBody) -> str:
    over = "in no notebook, so not corrected"
    if body.notebook is not None:
        how = CORRECTIONS.get(body.correction, "without correction")
        over = f"{how} over the notebook “{body.notebook}”"
    return f"p ≤ {body.alpha:g} and the {100 * (1 - body.alpha):g} % interval; {over}"


def _prompts(body: HypothesisBody) -> str:
    if body.split.hash is None:
        return f"{len(body.prompts)}, not split into discovery and test yet"
    tests, seen = body.prompts_for("test"), body.prompts_for("discovery")
    families = f" in {len(units(tests))} families" if body.prompts[0].family is not None else ""
    return (
        f"{len(tests)} test{families}, {len(seen)} discovery, which decide nothing; split with seed {body.split.seed},"
        f" hash {body.split.hash[:12]}"
    )


def _exclusion(body: HypothesisBody) -> str:
    rule, bound = body.exclusion.rule, body.exclusion.bound
    if bound is None:
        return "no prompt"
    than = "above" if rule == "rank" else "below"
    return f"prompts of which, without the edit, the {METRICS[rule]} is {than} {amount(bound)}"
