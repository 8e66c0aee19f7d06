"""The claim: which kind it is, and what it says in words."""

import streamlit as st

from lab.claim import ControlFamily
from lab.hypothesis import SHOW_NOTHING_IS_THERE
from lab.in_words import KINDS, METRICS, kind_name
from ui.sidebar import plain
from ui.slot import shows
from ui.wizard_draft import BOUNDS, OVER, SETS, SMALLEST, UP, Piece, Writing, doses, of_now


def claim(writing: Writing) -> None:
    tag = f"{writing.id}_{writing.revision}"
    writing.title = st.text_input("Title", writing.title, key=f"wizard_title_{tag}", max_chars=300)
    st.segmented_control(
        "Kind of claim",
        list(KINDS),
        default=writing.kind,
        key=f"wizard_kind_{tag}",
        format_func=kind_name,
        required=True,
        on_change=of_now(writing, lambda: take_kind(writing, st.session_state[f"wizard_kind_{tag}"])),
    )
    st.caption(KINDS[writing.kind])
    key = f"wizard_claim_{tag}"
    if not writing.claim:
        shows(key, in_words(writing))
    st.text_area(
        "Claim in words",
        writing.claim or in_words(writing),
        key=key,
        height=100,
        max_chars=5_000,
        on_change=lambda: take_claim(writing, st.session_state[key]),
        help="Follows the fields until you write your own; clear it to have that back.",
    )
    if writing.claim:
        st.caption(f"Written by hand. What is tested is what the fields say: {plain(in_words(writing))}")


def take_kind(writing: Writing, kind: str) -> None:
    """With the direction that goes with it; nothing that is there needs no controls, all else does."""
    if "sufficiency" in {kind, writing.kind} and kind != writing.kind:
        _turn(writing, to_sufficiency=kind == "sufficiency")
    writing.kind = kind
    writing.direction = natural_direction(writing)
    if kind in SHOW_NOTHING_IS_THERE:
        writing.controls = ()
    elif not writing.controls:
        writing.controls = (ControlFamily(sets=SETS, seed=writing.seed),)


def _turn(writing: Writing, to_sufficiency: bool) -> None:
    """What is enough brings up what is not there: it is raised, on prompts of which none is left out for lacking it.
    Only where edit and rule are still the default of the kind before."""
    before, now = (OVER, UP) if to_sufficiency else (UP, OVER)
    for piece in writing.pieces:
        if (piece.unit, piece.amount, piece.others) == ("factor", before, doses("factor", before)):
            piece.amount, piece.others = now, doses("factor", now)
    if (writing.rule, writing.bound) == default_rule(not to_sufficiency):
        writing.rule, writing.bound = default_rule(to_sufficiency)
    writing.revision += 1


def default_rule(sufficiency: bool) -> tuple[str, float]:
    """By which prompts are left out, and its bound."""
    return ("none", 0.0) if sufficiency else ("logit_difference", BOUNDS["logit_difference"])


def take_metric(writing: Writing, metric: str) -> None:
    writing.metric = metric
    writing.smallest = SMALLEST[metric]
    writing.direction = natural_direction(writing)


def take_claim(writing: Writing, text: str) -> None:
    writing.claim = "" if text.strip() == in_words(writing) else text.strip()


def natural_direction(writing: Writing) -> str:
    """What such an edit is expected to do: a circuit that is turned around lowers what it brought about."""
    if writing.kind in SHOW_NOTHING_IS_THERE:
        return "two_sided"
    if writing.metric == "kl":
        return "increase"
    lowers = writing.kind != "sufficiency"
    return "decrease" if lowers != (writing.metric == "rank") else "increase"


def in_words(writing: Writing) -> str:
    """The claim as the fields have it, in a sentence."""
    what, metric = _names(writing.part("circuit")), f"the {METRICS[writing.metric].what}"
    one = sum(piece.on for piece in writing.part("circuit")) == 1
    change = {"increase": "raises", "decrease": "lowers", "two_sided": "changes"}[writing.direction]
    edit = _edit(writing.part("circuit"))
    if writing.kind == "sufficiency":
        return f"{what} {'is' if one else 'are'} enough to bring the behaviour about: {edit} {change} {metric}."
    if writing.kind == "mediation":
        others = _names(writing.part("mediators"))
        does = "does" if one else "do"
        return f"What {what} {does} goes through {others}: {edit} {change} {metric} less where that is held."
    if writing.kind == "specificity":
        return (
            f"{what} {'does' if one else 'do'} more than matched controls: {edit} {change} {metric} more than they do."
        )
    if writing.kind == "no_effect":
        return f"{what} {'does' if one else 'do'} nothing that matters here: {edit} leaves {metric} as it is."
    if writing.kind == "equivalence":
        return f"{what} and {_names(writing.part('second'))} do the same to {metric}: the same edit of either."
    return f"{what} {'is' if one else 'are'} needed for the behaviour: {edit} {change} {metric}."


def _names(pieces: list[Piece]) -> str:
    names = [f"“{piece.name}”" for piece in pieces if piece.on] or [f"“{piece.name}”" for piece in pieces]
    if not names:
        return "…"
    more = [f"{len(names) - 3} more"] if len(names) > 4 else names[3:]
    shown = [*names[:3], *more]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _edit(pieces: list[Piece]) -> str:
    amounts = {(piece.unit, piece.amount) for piece in pieces if piece.on}
    what = "it" if sum(piece.on for piece in pieces) < 2 else "them"
    if len(amounts) != 1:
        return f"setting {what} to other values"
    ((unit, amount),) = amounts
    words = {
        "factor": f"{amount:g} × {'its' if what == 'it' else 'their'} own activation",
        "value": f"{amount:g}",
        "maximum": f"the own activation plus {amount:g} × the maximum",
        "donor": f"{amount:g} × the activation on the other prompt",
    }
    return f"setting {what} to {words[unit]}".replace("-", "−")
