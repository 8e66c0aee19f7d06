"""Do what a row says with a loaded model, and judge it."""

from dataclasses import dataclass, field
from typing import Literal

from tracer.attribution.targets import Difference
from tracer.errors import TracerError
from tracer.replacement import ReplacementModel
from tracer.replications.judge import Check, Next, close, judge_change, judge_outcome
from tracer.replications.rows import Intervention, Node, Replications, Row, Strongest
from tracer.steering.edits import Edit, positions
from tracer.steering.steered import Steered

Status = Literal["reproduced", "differs", "not run"]


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
    unchecked = [check.reason for check in checks if check.reason is not None]
    if len(unchecked) == len(checks):
        return _result(row, "not run", unchecked[0], checks)
    return _result(row, "reproduced", checks=checks)


def _result(row: Row, status: Status, reason: str | None = None, checks: list[Check] | None = None) -> Result:
    return Result(row.id, row.title, row.claim, row.negative, status, reason, checks or [])


def _checks(model: ReplacementModel, listing: Replications, row: Row) -> list[Check]:
    tolerance = row.tolerance or listing.tolerance
    ids = row.tokens if row.tokens is not None else model.token_ids(row.prompt or "")
    if not row.interventions:
        return judge_outcome("before", row.before, Next(model, model.record(ids).logits), tolerance)
    edits = [edit for i in row.interventions for edit in _edits(model, listing, i, ids)]
    steered = model.steer(tokens=ids, edits=edits, protocol=row.protocol, layers=row.layers)
    before, after = Next(model, steered.baseline), Next(model, steered.logits)
    checks = judge_outcome("before", row.before, before, tolerance)
    checks += judge_change(row.after, steered, before, after, tolerance)
    for name, change in row.after.predicted.items():
        checks.append(
            close(f"predicted change of logit {name!r}", change, _predicted(model, steered, before.id(name)), tolerance)
        )
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
        if other.mean or len(values) == 1:
            values = values.mean().expand(len(set_at))
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
