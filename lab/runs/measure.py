"""One prompt, one batch: the model without edits, with the real edit at each dose, and with each set of controls."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from lab.errors import LabError
from lab.hypothesis import Metric
from lab.runs.bodies import ControlFigures, Predicted, PromptFigures, Reading, left_out
from lab.runs.next_token import logit_difference, probability, rank
from lab.runs.plan import Plan, PromptPlan
from tracer.errors import Progress, silent
from tracer.graph.graph import Graph
from tracer.replacement import ReplacementModel
from tracer.steering.controls import Edits
from tracer.steering.edits import Applied
from tracer.steering.predict import predict
from tracer.steering.steered import Steered


@dataclass(frozen=True)
class PromptControls:
    """The sets of one family on one prompt: by dose (the primary one first), then by set."""

    kind: str
    doses: list[list[Edits]]


def baseline_of(plan: Plan, prompt: PromptPlan, logits: Tensor) -> PromptFigures:
    """What the model says without edits. `logits` (V,): of the last position. `excluded`: by the record's rule."""
    reading = _reading(plan, prompt, logits, logits)
    figures = PromptFigures(where=prompt.where, number=prompt.number, baseline=reading)
    return figures.model_copy(update={"excluded": left_out(plan.body, figures)})


def measure(
    model: ReplacementModel,
    plan: Plan,
    prompt: PromptPlan,
    controls: Sequence[PromptControls] = (),
    graph: Graph | None = None,
    progress: Progress = silent,
) -> PromptFigures:
    """The figures of one prompt. `graph`: explains target and competitor, and foretells the edit at the primary dose.

    Raises TracerError for what can't be run, LabError for figures that are not finite.
    """
    conditions: list[Edits] = [list(edits) for edits in prompt.doses]
    conditions += [list(prompt.second)] if prompt.second else []
    conditions += [[*prompt.doses[0], *prompt.held]] if prompt.held else []
    for family in controls:
        for sets in family.doses:
            conditions += sets
            conditions += [[*edits, *prompt.held] for edits in sets] if prompt.held else []
    intervention = plan.body.intervention
    donor = None if prompt.donor is None else model.record(prompt.donor).logits
    runs = model.steer_many(
        tokens=prompt.ids,
        conditions=conditions,
        protocol=intervention.protocol,
        layers=intervention.layers,
        watch=prompt.watch,
        progress=progress,
    )
    try:
        with closing(runs):
            return _figures(plan, prompt, controls, graph, runs, donor, clipped=model.basis.name != "neurons")
    except ValidationError as problem:
        raise LabError(f"{prompt.part}: its figures are not finite numbers; take a smaller edit") from problem


def _figures(
    plan: Plan,
    prompt: PromptPlan,
    controls: Sequence[PromptControls],
    graph: Graph | None,
    runs: Iterator[Steered],
    donor: Tensor | None,
    clipped: bool,
) -> PromptFigures:
    """Reads the runs off in the order in which `measure` has listed them. `donor` (V,): logits on it, without edits."""
    doses, applied = [], []
    baseline: Reading | None = None
    on_donor: float | None = None
    for _ in prompt.doses:
        steered = next(runs)
        doses.append(_steered(plan, prompt, steered))
        applied.append(steered.edits)
        if baseline is None:
            baseline = _reading(plan, prompt, steered.baseline, steered.baseline, steered.watched_baseline)
            on_donor = None if donor is None else _reading(plan, prompt, donor, steered.baseline).value
    assert baseline is not None  # there is always a primary dose
    second = _steered(plan, prompt, next(runs)) if prompt.second else None
    held = _steered(plan, prompt, next(runs)) if prompt.held else None
    found = []
    for family in controls:
        values, with_held = [], []
        for sets in family.doses:
            values.append(tuple(_metric(plan.body.metric, prompt, next(runs)) for _ in sets))
            if prompt.held:
                with_held.append(tuple(_metric(plan.body.metric, prompt, next(runs)) for _ in sets))
        found.append(ControlFigures(kind=family.kind, values=tuple(values), held=tuple(with_held)))
    return PromptFigures(
        where=prompt.where,
        number=prompt.number,
        baseline=baseline,
        doses=tuple(doses),
        second=second,
        held=held,
        controls=tuple(found),
        sizes=tuple(_along(edits, applied[0]) for edits in applied),
        magnitude=_magnitude(prompt, applied[0]),
        predicted=None if graph is None else _predicted(graph, prompt, applied[0], clipped),
        donor=on_donor,
    )


def _steered(plan: Plan, prompt: PromptPlan, steered: Steered) -> Reading:
    return _reading(plan, prompt, steered.logits, steered.baseline, steered.watched)


def _reading(
    plan: Plan, prompt: PromptPlan, logits: Tensor, baseline: Tensor, watched: Tensor | None = None
) -> Reading:
    before, after = (torch.log_softmax(x.double(), dim=-1) for x in (baseline, logits))
    kl = float((before.exp() * (before - after)).sum())
    target, competitor = prompt.target, prompt.competitor
    known: dict[str, Any] = {}
    if target is not None:
        known = {"probability": probability(logits, target), "rank": rank(logits, target)}
        if competitor is not None:
            known["logit_difference"] = logit_difference(logits, target, competitor)
    sums = []
    if watched is not None and len(watched):
        sizes = [len(supernode.nodes) for supernode in plan.watched]
        sums = [float(part.double().sum()) for part in watched.split(sizes)]
    value = known.get(plan.body.metric, kl)  # an off-target prompt may have no target: its KL alone is looked at
    return Reading(value=float(value), kl=kl, supernodes=tuple(sums), **known)


def _metric(metric: Metric, prompt: PromptPlan, steered: Steered) -> float:
    """The metric alone: of hundreds of controls nothing else is kept, and the vocabulary is long."""
    if metric == "kl":
        return steered.kl
    logits, target, competitor = steered.logits, prompt.target, prompt.competitor
    assert target is not None  # the record refuses test prompts without
    if metric == "rank":
        return float(rank(logits, target))
    if metric == "probability":
        return probability(logits, target)
    assert competitor is not None
    return logit_difference(logits, target, competitor)


def _along(edits: Sequence[Applied], primary: Sequence[Applied]) -> float:
    """Σ Δ·Δ₁ over the edited nodes, Δ the change of an activation that is asked for, Δ₁ that of the primary dose."""
    return sum((e.value - e.before) * (p.value - p.before) for e, p in zip(edits, primary, strict=True))


def _magnitude(prompt: PromptPlan, edits: Sequence[Applied]) -> float | None:
    shares = [
        abs(e.value) / prompt.maxima[at] for e in edits if (at := (e.layer, e.position, e.feature)) in prompt.maxima
    ]
    return max(shares, default=None)


def _predicted(graph: Graph, prompt: PromptPlan, edits: Sequence[Applied], clipped: bool) -> Predicted | None:
    """None where the graph doesn't explain both tokens by themselves."""
    prediction = predict(graph, edits, clipped)
    found = [prediction.of_target(graph, id) for id in (prompt.target, prompt.competitor) if id is not None]
    if len(found) < 2 or found[0] is None or found[1] is None:
        return None
    (direct, through), (other_direct, other_through) = found[0], found[1]
    return Predicted(direct=direct - other_direct, through=through - other_through, missing=len(prediction.missing))
