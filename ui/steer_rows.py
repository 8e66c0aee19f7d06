"""The rows of what is steered: a feature or supernode each, with its amount, where it acts, and what that comes to."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st
from pydantic import ValidationError

from lab import SteeredDonor, SteeredRow
from service import Service
from tracer import ReplacementModel, TracerError
from tracer.errors import first_fault
from tracer.steering.edits import LARGEST, Applied
from ui.graph_canvas import pretty_token
from ui.sidebar import plain
from ui.slot import clear_rest
from ui.steer_draft import START, Steering, places_of
from ui.steer_run import Outcome, prompt_tokens

UNITS = {"factor": "× own", "value": "value", "maximum": "own + × max", "donor": "× other prompt"}
UNIT_HELP = (
    "× own: a multiple of the activation at that token without edits; −1 turns it around, 0 takes it out. value: an"
    " activation. own + × max: its activation there plus a multiple of the largest in the corpus. × other prompt:"
    " a multiple of its activation at a token of another prompt, which you choose."
)
FIRST = {"factor": START, "donor": 1.0}  # amounts that a unit starts with; else 0
WHERE = {
    "own": "its token",
    "range": "a range",
    "onward": "from a token on",
    "last": "the last token",
    "generated": "generated text",
}
WHERE_HELP = (
    "Where the whole row acts. its token: each feature at its own. a range: all of them from a token to another. from a"
    " token on: generated tokens too. the last token: of the prompt as it stands. generated text: those tokens alone."
)
SLIDER = 5.0  # amounts that a slider reaches, either way
SHOWN = 3  # values under a row; all of them are in the table of values


def rows(service: Service, model: ReplacementModel, wanted: Steering, outcome: Outcome | None) -> None:
    """`outcome`: of these rows, if they could be run."""
    with st.container():
        for at in range(len(wanted.rows)):
            _row(service, model, wanted, at, outcome)
        clear_rest("steer_rows_places", len(wanted.rows))


def in_words(row: SteeredRow) -> str:
    """To what it sets its features, and where if that is not their own tokens."""
    amounts = {"factor": "× {:g}", "value": "= {:g}", "maximum": "+ {:g} × max", "donor": "× {:g} in another prompt"}
    place = "" if row.where == "own" else f", {WHERE[row.where]}"
    return f"{amounts[row.unit].format(row.amount)}{place}"


def rows_in_words(rows: Sequence[SteeredRow]) -> str:
    """Those that are on."""
    return "; ".join(f"{row.name} {in_words(row)}" for row in rows if row.on)


def guarded(work: Callable[[], object]) -> None:
    """Run a callback; what is wrong is shown below the rows."""
    try:
        work()
    except ValidationError as problem:
        st.session_state["steer_problem"] = first_fault(problem)
    except TracerError as problem:
        st.session_state["steer_problem"] = str(problem)


def _row(service: Service, model: ReplacementModel, wanted: Steering, at: int, outcome: Outcome | None) -> None:
    row, tag = wanted.rows[at], f"{wanted.id}_{wanted.revision}_{at}"
    with st.container(border=True):
        head = st.container(horizontal=True, vertical_alignment="center", wrap=False)
        head.toggle(
            f"**{plain(row.name)}**" + ("" if row.on else f" {plain(in_words(row))}"),
            value=row.on,
            help=_places(model, wanted, row),
            width="stretch",
            **_hears(wanted, at, f"steer_on_{tag}", lambda on: wanted.change(at, on=on)),
        )
        head.button("✕", key=f"steer_out_{tag}", help="Take this row out", on_click=wanted.remove, args=(at,))
        with st.container():
            if row.on:
                _fields(service, model, wanted, at, tag)
                st.caption(_comes_to(model, row, outcome))


def _hears(wanted: Steering, at: int, key: str, obey: Callable[[Any], object], **while_: object) -> dict[str, Any]:
    """The key of a row's field, and what is done with what stands in it when it is changed.

    Only while the rows are these and this one has what `while_` says: a part of the page that refreshes itself may send
    a field's value once more when the field is gone already, which Streamlit takes for a change.
    """
    revision = wanted.revision

    def changed() -> None:
        if wanted.revision == revision and all(getattr(wanted.rows[at], k) == v for k, v in while_.items()):
            obey(st.session_state[key])

    return {"key": key, "on_change": guarded, "args": (changed,)}


def _fields(service: Service, model: ReplacementModel, wanted: Steering, at: int, tag: str) -> None:
    row = wanted.rows[at]
    unit, amount, where = st.columns(3, vertical_alignment="bottom")
    unit.selectbox(
        "Unit",
        list(UNITS),
        index=list(UNITS).index(row.unit),
        format_func=UNITS.__getitem__,
        help=UNIT_HELP,
        **_hears(wanted, at, f"steer_unit_{tag}", lambda unit: _unit(wanted, at, unit)),
    )
    key = f"steer_amount_{tag}_{row.unit}"
    field = _hears(wanted, at, key, lambda amount: wanted.change(at, amount=amount), unit=row.unit)
    if row.unit != "value" and abs(row.amount) <= SLIDER:
        amount.slider(UNITS[row.unit], -SLIDER, SLIDER, float(row.amount), 0.1, **field)
    else:
        amount.number_input(UNITS[row.unit], -LARGEST, LARGEST, float(row.amount), format="%g", **field)
    where.selectbox(
        "Where",
        list(WHERE),
        index=list(WHERE).index(row.where),
        format_func=WHERE.__getitem__,
        help=WHERE_HELP,
        **_hears(wanted, at, f"steer_where_{tag}", lambda where: _where(wanted, at, where)),
    )
    with st.container():
        if row.where in ("range", "onward"):
            _span(wanted, at, tag)
    with st.container():
        if row.unit == "donor":
            _other_prompt(service, model, wanted, at, tag)


def _unit(wanted: Steering, at: int, unit: str) -> None:
    """Another unit starts where nothing changes by much: an amount of one is none of another."""
    wanted.change(at, unit=unit, amount=FIRST.get(unit, 0.0))


def _where(wanted: Steering, at: int, where: str) -> None:
    """From its first token on; to the last, where it has an end."""
    row, last = wanted.rows[at], max(len(wanted.tokens) - 1, 0)
    start = min(min(node.position for node in row.nodes), last)
    span = {"range": (start, last), "onward": (start, None)}.get(where, (None, None))
    wanted.change(at, where=where, start=span[0], end=span[1])


def _span(wanted: Steering, at: int, tag: str) -> None:
    row = wanted.rows[at]
    first, last = st.columns(2)
    start = min(node.position for node in row.nodes) if row.start is None else row.start
    top = max(len(wanted.tokens) - 1, start, row.end or 0)

    def hears(name: str, key: str) -> dict[str, Any]:
        return _hears(wanted, at, key, lambda place: wanted.change(at, **{name: place}), where=row.where)

    key = f"{tag}_{row.where}_{top}"
    first.number_input(
        "From", 0, top, start, help="A position: the first token is 0.", **hears("start", f"steer_start_{key}")
    )
    if row.where == "range":
        last.number_input(
            "To", 0, top, row.end, help="The last one that it acts at.", **hears("end", f"steer_end_{key}")
        )


def _other_prompt(service: Service, model: ReplacementModel, wanted: Steering, at: int, tag: str) -> None:
    donor = wanted.rows[at].donor
    st.text_input(
        "Other prompt",
        donor.prompt if donor else "",
        placeholder="the prompt that activations are taken from",
        autocomplete="off",
        **_hears(
            wanted, at, f"steer_donor_{tag}", lambda text: _take_other(service, model, wanted, at, text), unit="donor"
        ),
    )
    if donor is None:
        return
    here, there = len(wanted.tokens), len(donor.tokens)
    if here != there:
        st.caption(
            f"{there:,} tokens there, {here:,} here: at first they are matched from the end. See that each token below"
            " stands for the right one."
        )
    known = dict(donor.positions)
    for position in sorted({node.position for node in wanted.rows[at].nodes}):
        key = f"steer_there_{tag}_{position}_{hash(donor.tokens)}"
        st.selectbox(
            f"For {plain(_token(model, wanted.tokens, position))}, take",
            range(there),
            index=known.get(position),
            format_func=lambda place: _token(model, donor.tokens, place),
            placeholder="a token of the other prompt",
            **_hears(wanted, at, key, partial(_map, wanted, at, position), unit="donor"),
        )


def _take_other(service: Service, model: ReplacementModel, wanted: Steering, at: int, text: str) -> None:
    if not text:
        wanted.change(at, donor=None)
        return
    tokens = prompt_tokens(service, model, text)
    shift = len(tokens) - len(wanted.tokens)
    places = sorted({node.position for node in wanted.rows[at].nodes})
    matched = tuple((here, here + shift) for here in places if 0 <= here + shift < len(tokens))
    wanted.change(at, donor=SteeredDonor(prompt=text, tokens=tokens, positions=matched).model_dump())


def _map(wanted: Steering, at: int, position: int, there: int) -> None:
    donor = wanted.rows[at].donor
    assert donor is not None
    places = dict(donor.positions) | {position: there}
    wanted.change(at, donor=donor.model_dump() | {"positions": tuple(places.items())})


def _token(model: ReplacementModel, tokens: tuple[int, ...], position: int) -> str:
    if not 0 <= position < len(tokens):
        return f"position {position}, outside the prompt"
    return f"{pretty_token(model.token_text(tokens[position]))} ({position})"


def _places(model: ReplacementModel, wanted: Steering, row: SteeredRow) -> str:
    """Where its features are, in words."""
    said = [f"L{n.layer} · {n.feature} @ {_token(model, wanted.tokens, n.position)}" for n in row.nodes[:20]]
    more = f" and {len(row.nodes) - 20} more" if len(row.nodes) > 20 else ""
    return plain("; ".join(said) + more)


def _comes_to(model: ReplacementModel, row: SteeredRow, outcome: Outcome | None) -> str:
    """The activations that the row sets."""
    if row.where == "generated":
        set_to = {"factor": f"{row.amount:g} × its own", "value": f"{row.amount:.4g}"}
        return f"Sets {set_to.get(row.unit, 'its value')} at each generated token."
    if outcome is None:
        return "Not run."
    steered = outcome.steered
    set_here = {
        (node.layer, position, node.feature)
        for node in row.nodes
        for position in places_of(row, node, len(steered.token_ids))
    }
    mine = [edit for edit in steered.edits if (edit.layer, edit.position, edit.feature) in set_here]
    named = len({(node.layer, node.feature) for node in row.nodes}) > 1
    more = f"; and {len(mine) - SHOWN} more" if len(mine) > SHOWN else ""
    return plain("Sets " + "; ".join(_said(model, steered.token_ids, e, named) for e in mine[:SHOWN]) + more)


def _said(model: ReplacementModel, ids: list[int], edit: Applied, named: bool) -> str:
    name = f"L{edit.layer} · {edit.feature}: " if named else ""
    token = pretty_token(model.token_text(ids[edit.position]))
    return f"{name}{edit.before:.4g} → {edit.value:.4g} at {token} ({edit.position})"
