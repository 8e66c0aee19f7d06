"""Run what a tab steers, with its controls, and keep the answer until something changes.

Controls are drawn and run with the same prompt and protocol; a steered node is never an outcome.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from lab import SteeredRow
from service import Service
from tracer import Edit, Graph, ReplacementModel, TracerError
from tracer.dashboards import store
from tracer.steering.controls import Controls, matched
from tracer.steering.predict import Prediction, predict
from tracer.steering.steered import Steered
from ui.steer_draft import Steering, edits_of

T = TypeVar("T")

FAR = 2.0  # times the largest activation known, beyond which a value is called far out
LADDER = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Outcome:
    steered: Steered
    edits: list[Edit]
    follow: int  # the token
    watched: list[tuple[str, float, float]]  # a supernode that is not steered: name, Σ activations before and after
    prediction: Prediction | None
    far: list[str]  # warnings


@dataclass(frozen=True)
class Controlled:
    """The controls of an outcome: how they were matched, and what each did to the token that is followed."""

    controls: Controls | None
    delta: list[float]
    refused: str | None  # why there are none


def run(service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering) -> Outcome | None:
    """Without controls, so that it is on the screen before they are. None if no row is on.

    Raises TracerError for what can't be run.
    """
    rows = [row for row in wanted.rows if row.on]
    if not rows:
        return None
    return _kept("steer_outcome", _key(model, wanted), lambda: _run(service, model, graph, wanted, rows))


def run_controls(model: ReplacementModel, graph: Graph | None, wanted: Steering, outcome: Outcome) -> Controlled:
    key = f"{_key(model, wanted)} {outcome.follow} {wanted.controls!r}"
    return _kept("steer_controls", key, lambda: _run_controls(model, graph, wanted, outcome))


def _key(model: ReplacementModel, wanted: Steering) -> str:
    rows = [row for row in wanted.rows if row.on]
    asked = (wanted.tokens, rows, wanted.outcomes, wanted.protocol, wanted.layers, wanted.follow, wanted.graph)
    return repr((model.model_fingerprint, model.basis_fingerprint, *asked))


def _kept(name: str, key: str, work: Callable[[], T]) -> T:
    """The answer of the last run, until something changes."""
    kept = st.session_state.get(name)
    if kept is None or kept[0] != key:
        kept = st.session_state[name] = (key, work())
    return kept[1]


def _run(
    service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering, rows: list[SteeredRow]
) -> Outcome:
    maxima = known_maxima(service, model, rows)
    edits = edits_of(rows, {place: high for place, (_, high) in maxima.items()})
    ids = list(wanted.tokens)
    others = _outcomes(rows, wanted.outcomes)
    watch = [(n.layer, n.position, n.feature) for row in others for n in row.nodes if n.position < len(ids)]
    (steered,) = model.steer_many(
        tokens=ids, conditions=[edits], protocol=wanted.protocol, layers=wanted.layers, watch=watch
    )
    prediction = None
    if graph is not None and tuple(graph.token_ids) == wanted.tokens:
        prediction = predict(graph, steered.edits, clipped=model.basis.name != "neurons")
    return Outcome(
        steered=steered,
        edits=edits,
        follow=wanted.follow if wanted.follow is not None else int(steered.baseline.argmax()),
        watched=_watched(others, len(ids), steered),
        prediction=prediction,
        far=_far_out(steered, maxima),
    )


def _run_controls(model: ReplacementModel, graph: Graph | None, wanted: Steering, outcome: Outcome) -> Controlled:
    c, ids = wanted.controls, list(wanted.tokens)
    if not c.n:
        return Controlled(None, [], None)
    circuit = {(n.layer, n.feature) for row in [*wanted.rows, *wanted.outcomes] for n in row.nodes}
    held: dict[str, Any] = {"protocol": wanted.protocol, "layers": wanted.layers}
    try:
        controls = matched(model, [ids], outcome.edits, c.kind, c.n, c.seed, graph, avoid=circuit, **held)
        drawn = [control.prompts[0] for control in controls.sets]
        runs = model.steer_many(tokens=ids, conditions=drawn, **held)
        return Controlled(controls, [float(run.delta[outcome.follow]) for run in runs], None)
    except TracerError as problem:
        return Controlled(None, [], str(problem))


def dose(model: ReplacementModel, wanted: Steering) -> list[tuple[float, Steered]]:
    """All features of the rows that are on at a factor of their own activation, one run a step of the ladder."""
    rows = [row for row in wanted.rows if row.on]
    conditions: list[list[Edit]] = [
        edits_of([row.model_copy(update={"unit": "factor", "amount": factor}) for row in rows], {}) for factor in LADDER
    ]
    runs = model.steer_many(
        tokens=list(wanted.tokens), conditions=conditions, protocol=wanted.protocol, layers=wanted.layers
    )
    return list(zip(LADDER, runs, strict=True))


def known_maxima(
    service: Service, model: ReplacementModel, rows: Sequence[SteeredRow]
) -> dict[tuple[int, int], tuple[float, float]]:
    """The least and the largest activation of (layer, feature) in the corpus, of those that are known."""
    folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    found = {}
    for node in (node for row in rows for node in row.nodes):
        board = store.read(folder, node.layer, node.feature)
        if board is not None and board.top:
            low = board.low[0].value if board.low else 0.0
            found[node.layer, node.feature] = (low, board.top[0].value)
    return found


def _outcomes(rows: list[SteeredRow], outcomes: list[SteeredRow]) -> list[SteeredRow]:
    """Those of which no node is steered."""
    steered = {(n.layer, n.position, n.feature) for row in rows for n in row.nodes}
    return [row for row in outcomes if not steered & {(n.layer, n.position, n.feature) for n in row.nodes}]


def _watched(others: list[SteeredRow], n_tokens: int, steered: Steered) -> list[tuple[str, float, float]]:
    found, first = [], 0
    for row in others:
        end = first + sum(n.position < n_tokens for n in row.nodes)
        before, after = (float(x[first:end].sum()) for x in (steered.watched_baseline, steered.watched))
        if end > first:
            found.append((row.name, before, after))
        first = end
    return found


def _far_out(steered: Steered, maxima: dict[tuple[int, int], tuple[float, float]]) -> list[str]:
    found = []
    for edit in steered.edits:
        low, high = maxima.get((edit.layer, edit.feature), (0.0, 0.0))
        if (low or high) and edit.value != edit.before and abs(edit.value) > FAR * max(abs(low), abs(high)):
            found.append(
                f"L{edit.layer} · {edit.feature} at position {edit.position} is set to {edit.value:.3g}; in the corpus"
                f" it lies between {min(low, 0):.3g} and {max(high, 0):.3g}"
            )
    return found
