"""Do what a row says with a loaded model, and judge it."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from tracer.attribution.targets import Difference
from tracer.errors import TracerError
from tracer.replacement import ReplacementModel
from tracer.replications.judge import (
    Check,
    Next,
    close,
    judge_activity,
    judge_change,
    judge_sampled,
    judge_text,
    judge_top,
)
from tracer.replications.rows import Intervention, Node, Outcome, Replications, Row, Strongest
from tracer.steering.edits import Edit, positions
from tracer.steering.generate import GREEDY, Sampling
from tracer.steering.sites import Place
from tracer.steering.steered import Steered

Status = Literal["reproduced", "differs", "not run"]
SPARE = 4
"""Tokens generated beyond those of a published text, as others may spell it; and of a text whose first word counts."""


@dataclass(frozen=True)
class Result:
    id: str
    title: str
    claim: str
    negative: bool
    status: Status
    reason: str | None = None  # why it was not run, or broke off
    checks: list[Check] = field(default_factory=list)


def replicate(model: ReplacementModel, listing: Replications, row: Row) -> Result:
    """A row that the engine refuses differs from what was published: it could be run then."""
    if row.not_run is not None:
        return _result(row, "not run", row.not_run)
    try:
        checks = _checks(model, listing, row)
    except TracerError as problem:
        return _result(row, "differs", str(problem))
    if not all(check.ok for check in checks):
        return _result(row, "differs", checks=checks)
    return _result(row, "reproduced", checks=checks)


def _result(row: Row, status: Status, reason: str | None = None, checks: list[Check] | None = None) -> Result:
    return Result(row.id, row.title, row.claim, row.negative, status, reason, checks or [])


def _checks(model: ReplacementModel, listing: Replications, row: Row) -> list[Check]:
    tolerance = row.tolerance or listing.tolerance
    ids = row.tokens if row.tokens is not None else model.token_ids(row.prompt or "")
    if not row.interventions:
        checks = judge_top("before", row.before, Next(model, model.record(ids).logits), tolerance)
        return checks + _texts(model, row, "before", row.before, ids, [])
    edits = [edit for i in row.interventions for edit in _edits(model, listing, i, ids)]
    watched = {name: _places(listing.supernodes[name], ids) for name in row.after.activity}
    (steered,) = model.steer_many(
        tokens=ids,
        conditions=[edits],
        protocol=row.protocol,
        layers=row.layers,
        watch=[place for places in watched.values() for place in places],
    )
    before, after = Next(model, steered.baseline), Next(model, steered.logits)
    checks = judge_top("before", row.before, before, tolerance)
    checks += judge_change(row.after, steered, before, after, tolerance)
    for name, change in row.after.predicted.items():
        checks.append(
            close(f"predicted change of logit {name!r}", change, _predicted(model, steered, before.id(name)), tolerance)
        )
    sizes = [len(places) for places in watched.values()]
    runs = zip(watched, steered.watched.split(sizes), steered.watched_baseline.split(sizes), strict=True)
    for name, now, own in runs:
        whole = _at_home(model, listing, name) if name in listing.homes else own
        checks.append(judge_activity(name, row.after.activity[name], now, whole, tolerance))
    checks += _texts(model, row, "before", row.before, ids, [])
    return checks + _texts(model, row, "after", row.after, ids, edits)


def _at_home(model: ReplacementModel, listing: Replications, name: str) -> Tensor:
    """(k,): activations of a supernode on the prompt on which it is whole."""
    ids = model.token_ids(listing.homes[name])
    record = model.record(ids)
    own = [model.activations(record, layer, feature)[p] for layer, p, feature in _places(listing.supernodes[name], ids)]
    return torch.stack(own).cpu()


def _places(nodes: list[Node], ids: list[int]) -> list[Place]:
    return [(n.layer, p, n.feature) for n in nodes for p in positions(n.position, len(ids))]


def _texts(
    model: ReplacementModel, row: Row, when: str, expected: Outcome, ids: list[int], edits: list[Edit]
) -> list[Check]:
    """What the model goes on with; on the prompt under the row's protocol, at generated tokens nothing is held."""

    def text(n_tokens: int, sampling: Sampling = GREEDY) -> str:
        held: dict[str, Any] = {"protocol": row.protocol, "layers": row.layers}
        tokens = model.generate(tokens=ids, conditions=[edits], n_tokens=n_tokens, sampling=sampling, **held)
        return model.continuation(ids, [token.id for token in tokens])

    checks = []
    if expected.text is not None:
        wanted = model.tokenizer(expected.text, add_special_tokens=False)["input_ids"]
        checks.append(judge_text(when, expected.text, text(len(wanted) + SPARE)))
    if (drawn := expected.sampled) is not None:
        texts = [text(SPARE, Sampling(drawn.temperature, seed=seed)) for seed in range(drawn.n)]
        checks.append(judge_sampled(when, drawn, texts))
    return checks


def _edits(model: ReplacementModel, listing: Replications, intervention: Intervention, ids: list[int]) -> list[Edit]:
    if intervention.strongest is not None:
        nodes = _strongest(model, intervention.strongest, ids)
    else:
        nodes = intervention.features or listing.supernodes[intervention.supernode or ""]
    if intervention.elsewhere is not None:
        return _carried(model, intervention, nodes, len(ids))
    at = intervention.at
    return [
        Edit(n.layer, n.position if at is None else at, n.feature, intervention.value, intervention.factor)
        for n in nodes
    ]


def _strongest(model: ReplacementModel, wanted: Strongest, ids: list[int]) -> list[Node]:
    now = Next(model, model.record(ids).logits)
    nodes = model.trace(tokens=ids, targets=Difference(now.id(wanted.a), now.id(wanted.b))).nodes
    top = nodes[nodes.kind == "feature"].nlargest(wanted.n, "influence")
    return [Node(*map(int, place)) for place in zip(top.layer, top.position, top.feature, strict=True)]


def _carried(model: ReplacementModel, intervention: Intervention, nodes: list[Node], n_tokens: int) -> list[Edit]:
    """Set to a multiple of the activations on another prompt, place by place, or of one for all places.

    A range that is read ends where that prompt does, as in the notebooks: G14 reads 6:8 of a prompt of seven tokens.
    """
    other, factor = intervention.elsewhere, intervention.factor
    assert other is not None and factor is not None  # Intervention.is_whole
    ids = model.token_ids(other.prompt)
    record = model.record(ids)
    edits = []
    for node in nodes:
        where = node.position if other.position is None else other.position
        read = list(range(len(ids)))[where] if isinstance(where, slice) else positions(where, len(ids))
        set_at = positions(node.position if intervention.at is None else intervention.at, n_tokens)
        values = factor * model.activations(record, node.layer, node.feature)[read]
        if len(values) == 1 or (
            other.mean and len(values)
        ):  # one value wherever it is set, generated tokens too where that has no end
            at = node.position if intervention.at is None else intervention.at
            edits.append(Edit(node.layer, at, node.feature, value=float(values.mean())))
            continue
        if len(values) != len(set_at):
            raise TracerError(f"activations at {len(values)} places can't be set at {len(set_at)}; correct the list")
        edits += [Edit(node.layer, p, node.feature, value=v) for p, v in zip(set_at, values.tolist(), strict=True)]
    return edits


def _predicted(model: ReplacementModel, steered: Steered, id: int) -> float:
    """Σ edge · (value − activation) / activation over the edits (DESIGN §4). Raises TracerError where a node lacks."""
    graph = model.trace(tokens=steered.token_ids, targets=[id])
    sources, edges = graph.inputs(graph.layout.first_logit)
    edge = dict(zip(sources.tolist(), edges.tolist(), strict=True))
    total = 0.0
    for edit in steered.edits:
        name = f"{edit.layer}_{edit.feature}_{edit.position}"
        if name not in graph.index:
            raise TracerError(f"{name} is no node of the graph, so nothing is predicted; take another feature")
        total += edge.get(graph.index[name], 0.0) * (edit.value - edit.before) / edit.before
    return total
