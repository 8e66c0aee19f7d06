"""Run what a tab steers, with its controls, and keep the answer until something changes.

Controls are drawn and run with the same prompt and protocol; a steered node is never an outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from lab import SteeredRow
from service import Service
from tracer import Edit, Graph, ReplacementModel, TracerError
from tracer.dashboards import store
from tracer.steering.controls import Controls, matched
from tracer.steering.predict import Prediction, predict
from tracer.steering.steered import Steered
from ui.steer_draft import Steering, edits_of

FAR = 2.0  # times the largest activation known, beyond which a value is called far out
LADDER = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Control:
    """What one set of controls did to the token that is followed."""

    delta: float
    kl: float


@dataclass(frozen=True)
class Outcome:
    steered: Steered
    follow: int  # the token
    watched: list[tuple[str, float, float]]  # a supernode that is not steered: name, Σ activations before and after
    controls: Controls | None
    controlled: list[Control]
    refused: str | None  # why there are no controls
    prediction: Prediction | None
    far: list[str]  # warnings


def run(service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering) -> Outcome | None:
    """None if no row is on. Raises TracerError for what can't be run."""
    rows = [row for row in wanted.rows if row.on]
    if not rows:
        return None
    key = repr((model.model_fingerprint, model.basis_fingerprint, wanted.tokens, rows, wanted.outcomes))
    key += repr((wanted.protocol, wanted.layers, wanted.follow, wanted.controls, wanted.graph))
    kept = st.session_state.get("steer_outcome")
    if kept is not None and kept[0] == key:
        return kept[1]
    outcome = _run(service, model, graph, wanted, rows)
    st.session_state["steer_outcome"] = (key, outcome)
    return outcome


def _run(
    service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering, rows: list[SteeredRow]
) -> Outcome:
    maxima = known_maxima(service, model, rows)
    edits = edits_of(rows, {place: high for place, (_, high) in maxima.items()})
    ids = list(wanted.tokens)
    others = _outcomes(rows, wanted.outcomes)
    watch = [(n.layer, n.position, n.feature) for row in others for n in row.nodes if n.position < len(ids)]
    controls, refused = None, None
    if wanted.controls.n:
        try:
            c = wanted.controls
            circuit = {(n.layer, n.feature) for row in [*wanted.rows, *wanted.outcomes] for n in row.nodes}
            controls = matched(
                model, [ids], edits, c.kind, c.n, c.seed, graph, wanted.protocol, wanted.layers, avoid=circuit
            )
        except TracerError as problem:
            refused = str(problem)
    conditions = [edits, *([s.prompts[0] for s in controls.sets] if controls else [])]
    runs = model.steer_many(
        tokens=ids, conditions=conditions, protocol=wanted.protocol, layers=wanted.layers, watch=watch
    )
    steered = next(runs)
    follow = wanted.follow if wanted.follow is not None else int(steered.baseline.argmax())
    controlled = [Control(float(run.delta[follow]), run.kl) for run in runs]
    prediction = None
    if graph is not None and tuple(graph.token_ids) == wanted.tokens:
        prediction = predict(graph, steered.edits, clipped=model.basis.name != "neurons")
    return Outcome(
        steered=steered,
        follow=follow,
        watched=_watched(others, len(ids), steered),
        controls=controls,
        controlled=controlled,
        refused=refused,
        prediction=prediction,
        far=_far_out(steered, maxima),
    )


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
