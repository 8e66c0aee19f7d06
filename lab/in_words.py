"""A hypothesis in words: what its fields are called, what is done, and how it is decided. Plain text; texts of the
hypothesis come as they are, to be escaped by who shows them."""

from collections.abc import Iterable
from typing import NamedTuple

from lab.claim import ControlFamily, Setting
from lab.hypothesis import SHOW_NOTHING_IS_THERE, HypothesisBody
from lab.splits import units
from tracer.steering.controls import KINDS as CONTROLS
from tracer.steering.protocols import PROTOCOLS


class MetricWords(NamedTuple):
    name: str
    what: str  # after "the"
    unit: str


class CorrectionWords(NamedTuple):
    name: str
    source: str


KINDS = {
    "necessity": "Without the circuit the behaviour is lost: the edit takes it away.",
    "sufficiency": "The circuit alone brings the behaviour about: the edit turns it on.",
    "mediation": "What the edited supernodes do goes through others, the mediators: held, they carry nothing.",
    "specificity": "The circuit does more than matched controls do: what is measured is the effect above theirs.",
    "no_effect": "The edit does nothing that matters: the whole interval lies within the smallest effect.",
    "equivalence": "Two circuits do the same: the effects of editing one and the other differ by nothing that matters.",
}
EFFECTS = {  # what is taken from what
    "necessity": "with the edit less without",
    "sufficiency": "with the edit less without",
    "mediation": "with the edit less the same with the mediators held",
    "specificity": "with the edit less the mean with its controls",
    "no_effect": "with the edit less without",
    "equivalence": "with the first circuit's edit less with the second's",
}
METRICS = {
    "logit_difference": MetricWords("logit difference", "logit difference (target less competitor)", "nats"),
    "probability": MetricWords("probability", "probability of the target", "probability"),
    "rank": MetricWords("rank", "rank of the target (1: the likeliest)", "ranks"),
    "kl": MetricWords("KL", "KL from without the edit to with it", "nats"),
}
CORRECTIONS = {
    "bh": CorrectionWords("Benjamini–Hochberg", "Benjamini & Hochberg 1995"),
    "by": CorrectionWords("Benjamini–Yekutieli", "Benjamini & Yekutieli 2001"),
    "holm": CorrectionWords("Holm", "Holm 1979"),
    "none": CorrectionWords("no correction", ""),
}
UNITS_OF_SETTINGS = {
    "factor": "× its own activation",
    "value": "as activation",
    "maximum": "× its largest known activation, added to its own",
    "donor": "× its activation on the prompt's donor",
}


def kind_name(kind: str) -> str:
    return kind.replace("_", " ")


def what_kind(body: HypothesisBody) -> str:
    return f"{kind_name(body.kind)}. {KINDS[body.kind]}"


def what_effect(body: HypothesisBody) -> str:
    """What is measured: of the metric, in each prompt."""
    return EFFECTS[body.kind]


def beyond(rule: str) -> str:
    """On which side of the bound a rule of exclusion leaves a prompt out."""
    return "above" if rule == "rank" else "below"


def amount(value: float) -> str:
    return f"{value + 0.0:g}".replace("-", "−")


def dose(body: HypothesisBody, n: int) -> str:
    """What the edit sets at one of its doses; 0 is the primary one."""
    doses = zip(body.intervention.settings, body.intervention.doses[n], strict=True)
    return _each((setting.supernode, _value(setting, value)) for setting, value in doses)


def decided_beforehand(body: HypothesisBody) -> dict[str, str]:
    """By name, but for the kind."""
    intervention = body.intervention
    layers = intervention.layers
    where = "" if layers is None else f" The layers are {layers[0]} to {layers[1] - 1}."
    told = {
        "Model": f"{body.model}, features: {body.features}",
        "Edit": _each((setting.supernode, _values(setting)) for setting in intervention.settings),
        "Protocol": f"{intervention.protocol}. {PROTOCOLS[intervention.protocol]}{where}",
        "Metric": METRICS[body.metric].what,
        "Smallest effect that matters": _smallest(body),
        "Controls": "; ".join(_controls(n, family) for n, family in enumerate(body.controls)) or "none",
        "Decided by": _decision(body),
        "Prompts": _prompts(body),
        "Left out": _exclusion(body),
        "Stop": f"all prompts are run before anything is decided; fewer than {body.stop.fewest_units} units decide"
        " nothing",
        "Seed": f"{body.seed}, of resampling and sign flips",
    }
    if body.mediators:
        told["Mediators"] = f"{', '.join(one.name for one in body.mediators)}: held at what they are without the edit"
    if body.second_circuit:
        told["Second circuit"] = ", ".join(one.name for one in body.second_circuit)
    if body.off_target:
        told["Off-target prompts"] = f"{len(body.off_target)}, on which the edit should do little"
    return told


def _each(values: Iterable[tuple[str, str]]) -> str:
    """Of supernodes, with what they are set to: those that are set alike are named together."""
    alike: dict[str, list[str]] = {}
    for name, value in values:
        alike.setdefault(value, []).append(name)
    return "; ".join(f"{', '.join(names)}{' each' * (len(names) > 1)} to {value}" for value, names in alike.items())


def _value(setting: Setting, value: float) -> str:
    return f"{amount(value)} {UNITS_OF_SETTINGS[setting.unit]}"


def _values(setting: Setting) -> str:
    others = f", then {', '.join(map(amount, setting.others))}" if setting.others else ""
    return f"{_value(setting, setting.primary)}{others}"


def _smallest(body: HypothesisBody) -> str:
    size, unit = amount(body.smallest_effect), METRICS[body.metric].unit
    size = size if unit == "probability" else f"{size} {unit}"
    if body.kind in SHOW_NOTHING_IS_THERE:
        return f"a mean change within ±{size} counts as none"
    way = {"increase": "a rise", "decrease": "a fall", "two_sided": "a change, either way,"}[body.direction]
    return f"{way} of more than {size} on average"


def _controls(n: int, family: ControlFamily) -> str:
    decide = " (they decide)" if n == 0 else ""
    sets = "1 set" if family.sets == 1 else f"{family.sets} sets"
    return f"{sets} of {CONTROLS[family.kind].name}{decide}, seed {family.seed}"


def _decision(body: HypothesisBody) -> str:
    over = "in no notebook, so not corrected"
    if body.notebook is not None:
        over = f"{CORRECTIONS[body.correction].name} over the notebook “{body.notebook}”"
    if body.kind in SHOW_NOTHING_IS_THERE:
        return f"p ≤ {body.alpha:g} of the equivalence test; {over}"
    return f"p ≤ {body.alpha:g} against the controls and the {100 * (1 - body.alpha):g} % interval; {over}"


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
    return f"prompts of which, without the edit, the {METRICS[rule].what} is {beyond(rule)} {amount(bound)}"
