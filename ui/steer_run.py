"""Run what a tab steers, with its controls, and keep the answer until something changes.

Controls are drawn and run with the same prompt and protocol, beside the page; a steered node is never an outcome.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import streamlit as st

from lab import SteeredRow
from service import Service, Stream
from tracer import GENERATED, Edit, Graph, Progress, ReplacementModel, TracerError
from tracer.dashboards import store
from tracer.steering.controls import Controls, matched
from tracer.steering.edits import Applied
from tracer.steering.predict import Prediction, predict
from tracer.steering.steered import Steered
from ui.steer_draft import Steering, edits_of

T = TypeVar("T")

FAR = 2.0  # times the largest activation known, beyond which a value is called far out


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
    """The controls of an outcome so far: how they were matched, and what each did to the token that is followed."""

    controls: Controls | None  # None until they are matched
    delta: list[float]


def run(service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering) -> Outcome | None:
    """Without controls, so that it is on the screen before they are. None if no row is on.

    Raises TracerError for what can't be run.
    """
    rows = [row for row in wanted.rows if row.on]
    if not rows:
        return None
    key = _key(model, wanted)
    if not _is_kept("steer_outcome", key):
        stop_controls()  # of what was steered before
    return kept("steer_outcome", key, lambda: _run(service, model, graph, wanted, rows))


def run_controls(model: ReplacementModel, graph: Graph | None, wanted: Steering, outcome: Outcome) -> Stream | None:
    """Gives how they were matched (`Controls`), then what each did to the token followed. None if none are wanted."""
    if not wanted.controls.n:
        return None
    key = f"{_key(model, wanted)} {outcome.follow} {wanted.controls!r}"
    if not _is_kept("steer_controls", key):
        stop_controls()
    work = partial(_run_controls, model, graph, replace(wanted), outcome)
    return kept("steer_controls", key, lambda: Stream(work, "ask for fewer, or shorten the prompt"))


def stop_controls() -> None:
    if "steer_controls" in st.session_state:
        st.session_state["steer_controls"][1].cancel()


def controlled(stream: Stream | None) -> Controlled:
    found = [] if stream is None else stream.found()
    return Controlled(found[0] if found else None, found[1:])


def _key(model: ReplacementModel, wanted: Steering) -> str:
    rows = [row for row in wanted.rows if row.on]
    asked = (wanted.tokens, rows, wanted.outcomes, wanted.protocol, wanted.layers, wanted.follow, wanted.graph)
    return repr((model.model_fingerprint, model.basis_fingerprint, *asked))


def kept(name: str, key: str, work: Callable[[], T]) -> T:
    """The answer of the last run, until something changes."""
    if not _is_kept(name, key):
        st.session_state[name] = (key, work())
    return st.session_state[name][1]


def forget(name: str) -> None:
    """It starts anew when the page is drawn."""
    st.session_state.pop(name, None)


def _is_kept(name: str, key: str) -> bool:
    return name in st.session_state and st.session_state[name][0] == key


def _run(
    service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering, rows: list[SteeredRow]
) -> Outcome:
    maxima = known_maxima(service, model, rows)
    edits = edits_of(rows, {place: high for place, (_, high) in maxima.items()})
    ids = list(wanted.tokens)
    others = outcomes_of(rows, wanted.outcomes)
    watch = [(n.layer, n.position, n.feature) for row in others for n in row.nodes if n.position < len(ids)]
    (steered,) = model.steer_many(
        tokens=ids, conditions=[edits], protocol=wanted.protocol, layers=wanted.layers, watch=watch, generating=True
    )
    prediction = None
    if graph is not None and tuple(graph.token_ids) == wanted.tokens:
        prediction = predict(graph, steered.edits, clipped=model.basis.name != "neurons")
    return Outcome(
        steered=steered,
        edits=edits,
        follow=int(steered.baseline.argmax()) if wanted.follow is None else wanted.follow % model.vocab_size,
        watched=_watched(others, len(ids), steered),
        prediction=prediction,
        far=far_out(steered.edits, maxima),
    )


def _run_controls(
    model: ReplacementModel, graph: Graph | None, wanted: Steering, outcome: Outcome, progress: Progress
) -> Iterator[Controls | float]:
    c, ids = wanted.controls, list(wanted.tokens)
    circuit = {(n.layer, n.feature) for row in [*wanted.rows, *wanted.outcomes] for n in row.nodes}
    held: dict[str, Any] = {"protocol": wanted.protocol, "layers": wanted.layers, "progress": progress}
    controls = matched(model, [ids], on_prompt(outcome.edits), c.kind, c.n, c.seed, graph, avoid=circuit, **held)
    yield controls
    runs = model.steer_many(tokens=ids, conditions=[control.prompts[0] for control in controls.sets], **held)
    for run in runs:
        yield float(run.delta[outcome.follow])


def dose(model: ReplacementModel, wanted: Steering, outcome: Outcome) -> list[tuple[float, Steered]]:
    """All features of the rows that are on at each factor of the ladder. Raises TracerError for what can't be run."""

    def work() -> list[tuple[float, Steered]]:
        held: dict[str, Any] = {"protocol": wanted.protocol, "layers": wanted.layers}
        return list(model.sweep(tokens=list(wanted.tokens), edits=on_prompt(outcome.edits), **held))

    return kept("steer_dose_runs", _key(model, wanted), work)


def prompt_tokens(service: Service, model: ReplacementModel, text: str) -> tuple[int, ...]:
    """Raises TracerError for what can't be steered here."""
    ids, most = model.token_ids(text), service.settings.max_tokens
    if len(ids) > most:
        raise TracerError(f"{len(ids):,} tokens; the limit is {most:,} (HYPOGRAPH_MAX_TOKENS): shorten the prompt")
    return tuple(ids)


def on_prompt(edits: Sequence[Edit]) -> list[Edit]:
    """Those that can do something to the next token. Raises TracerError if none can."""
    found = [edit for edit in edits if edit.position != GENERATED]
    if not found:
        raise TracerError("these edits act on generated tokens alone, so they change nothing of the next one")
    return found


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


def outcomes_of(rows: list[SteeredRow], outcomes: list[SteeredRow]) -> list[SteeredRow]:
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


def far_out(edits: Sequence[Applied], maxima: dict[tuple[int, int], tuple[float, float]]) -> list[str]:
    """A line for each edit to more than `FAR` times the largest activation known of its feature (by layer and feature:
    lowest and highest in the corpus); none where nothing is known, or nothing is changed."""
    found = []
    for edit in edits:
        low, high = maxima.get((edit.layer, edit.feature), (0.0, 0.0))
        if (low or high) and edit.value != edit.before and abs(edit.value) > FAR * max(abs(low), abs(high)):
            found.append(
                f"L{edit.layer} · {edit.feature} at position {edit.position} is set to {edit.value:.3g}; in the corpus"
                f" it lies between {min(low, 0):.3g} and {max(high, 0):.3g}"
            )
    return found
