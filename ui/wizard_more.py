"""What has good defaults: controls, α and its correction, the split, seeds, off-target prompts, notes."""

import re
from collections.abc import Iterable

import streamlit as st
from pydantic import ValidationError

from lab import HypothesisBody, LabError, Prompt, Record, Slot, pasted
from lab.claim import ControlFamily
from lab.in_words import CORRECTIONS
from lab.statistics import controls_for
from tracer.errors import first_fault
from tracer.steering.controls import WITHOUT_GRAPH, kinds_in_words
from ui.session import get_lab, me
from ui.sidebar import sentence
from ui.wizard_draft import SETS, Writing, of_now

MOST_SEED = 2**32 - 1

MOST_SETS = 10_000
_MARKED = re.compile(r"\{(?:(\w{1,60})=)?([^{}]+)\}")


def more(writing: Writing) -> None:
    tag = f"{writing.id}_{writing.revision}"
    _controls(writing, tag)
    _decision(writing, tag)
    _split(writing, tag)
    _off_target(writing, tag)
    writing.notes = st.text_area("Notes", writing.notes, key=f"wizard_notes_{tag}", height=80, max_chars=20_000)


def take_controls(writing: Writing, kinds: Iterable[str], sets: int, seed: int) -> None:
    """Families in the order of `kinds`; each is drawn with a seed of its own."""
    writing.controls = tuple(
        ControlFamily(kind=kind, sets=1 if kind == "sign" else sets, seed=(seed + n) % (MOST_SEED + 1))  # type: ignore[arg-type]
        for n, kind in enumerate(kinds)
    )


def take_alpha(writing: Writing, alpha: float) -> None:
    """With as many controls as it takes at least."""
    writing.alpha, needed = alpha, controls_for(alpha)
    if writing.controls and sets_of(writing) < needed:
        take_controls(writing, [family.kind for family in writing.controls], needed, writing.controls[0].seed)
        writing.revision += 1


def sets_of(writing: Writing) -> int:
    """As many as each kind has; of the opposite edit there is one."""
    return next((family.sets for family in writing.controls if family.kind != "sign"), SETS)


def marked(line: str, slots: Iterable[str]) -> Prompt:
    """An off-target prompt, with {…} around what stands for the slot, {name=…} where there are several.

    Raises ValidationError for what is no prompt. Braces are braces where the circuit has no slots.
    """
    names, text, found, end = list(slots), "", {}, 0
    for mark in _MARKED.finditer(line) if names else ():
        text += line[end : mark.start()]
        found[mark[1] or names[0]] = Slot(text=mark[2], start=len(text))
        text += mark[2]
        end = mark.end()
    return Prompt(text=text + line[end:], slots=found)


def in_line(prompt: Prompt, slots: Iterable[str]) -> str:
    """The same as `marked` reads it."""
    names, text, end = list(slots), "", 0
    for name, slot in sorted(prompt.slots.items(), key=lambda item: item[1].start) if names else ():
        label = "" if name == names[0] else f"{name}="
        text += f"{prompt.text[end : slot.start]}{{{label}{slot.text}}}"
        end = slot.end
    return text + prompt.text[end:]


def _controls(writing: Writing, tag: str) -> None:
    kinds_key, sets_key, seed_key = (f"wizard_{name}_{tag}" for name in ("controls", "sets", "control_seed"))
    first = writing.controls[0] if writing.controls else None

    def obey() -> None:
        state = st.session_state
        take_controls(writing, state[kinds_key], int(state[sets_key]), int(state[seed_key]))

    kinds, sets, seed = st.columns([6, 2, 3])
    kinds.multiselect(
        "Controls",
        WITHOUT_GRAPH,
        default=[family.kind for family in writing.controls],
        key=kinds_key,
        on_change=of_now(writing, obey),
        help="Edits that should do nothing special; the first kind decides. " + kinds_in_words(WITHOUT_GRAPH),
    )
    sets.number_input(
        "Sets (R)",
        1,
        MOST_SETS,
        sets_of(writing),
        key=sets_key,
        on_change=of_now(writing, obey),
        help="Of each kind; each set is applied to all prompts. p can't be below 1/(R + 1).",
    )
    seed.number_input(
        "Their seed",
        0,
        MOST_SEED,
        writing.seed if first is None else first.seed,
        key=seed_key,
        on_change=of_now(writing, obey),
    )


def _decision(writing: Writing, tag: str) -> None:
    alpha, correction, notebook, fewest = st.columns([2, 4, 3, 3])  # as wide as the longest name
    alpha_key = f"wizard_alpha_{tag}"
    alpha.number_input(
        "α",
        0.0001,
        0.5,
        float(writing.alpha),
        0.01,
        format="%g",
        key=alpha_key,
        on_change=of_now(writing, lambda: take_alpha(writing, st.session_state[alpha_key])),
    )
    names = list(CORRECTIONS)
    writing.correction = correction.selectbox(
        "Correction",
        names,
        index=names.index(writing.correction),
        format_func=lambda name: CORRECTIONS[name].name,
        key=f"wizard_correction_{tag}",
        help="Over all hypotheses of the notebook.",
    )
    writing.notebook = notebook.selectbox(
        "Notebook",
        notebooks(writing.notebook),
        index=None if writing.notebook is None else notebooks(writing.notebook).index(writing.notebook),
        key=f"wizard_notebook_{tag}",
        placeholder="none",
        accept_new_options=True,
        help="Hypotheses that are asked together: their p are corrected over one another. Type a new name, or choose.",
    )
    key = f"wizard_fewest_{tag}_{writing.fewest is None and writing.fewest_units}"

    def obey() -> None:
        writing.fewest = int(st.session_state[key])

    fewest.number_input(
        "Units at least",
        2,
        None,
        writing.fewest_units,
        key=key,
        on_change=obey,
        help="The stop rule: all test prompts are run before anything is decided; where fewer units are left, nothing"
        " is.",
    )


def notebooks(mine: str | None) -> list[str]:
    records: list[Record[HypothesisBody]] = get_lab().find("hypothesis", me())
    names = [record.head.body.notebook for record in records] + [mine]
    return sorted({name for name in names if name})


def _split(writing: Writing, tag: str) -> None:
    share, split_seed, seed = st.columns(3)
    writing.discovery = share.number_input(
        "Share for discovery",
        0.0,
        1.0,
        float(writing.discovery),
        0.1,
        format="%g",
        key=f"wizard_discovery_{tag}",
        help="Of the other prompts or families, drawn by the seed. What the circuit was found on is discovery anyway;"
        " the test prompts decide.",
    )
    writing.split_seed = int(
        split_seed.number_input("Seed of the split", 0, MOST_SEED, writing.split_seed, key=f"wizard_split_{tag}")
    )
    writing.seed = int(
        seed.number_input(
            "Seed of the rest",
            0,
            MOST_SEED,
            writing.seed,
            key=f"wizard_seed_{tag}",
            help="Of resampling and sign flips.",
        )
    )


def _off_target(writing: Writing, tag: str) -> None:
    slots = list(dict.fromkeys(name for prompt in writing.prompts for name in prompt.slots))
    key = f"wizard_off_{tag}"
    lines = writing.typed.get("off-target")
    st.text_area(
        "Off-target prompts",
        "\n".join(in_line(prompt, slots) for prompt in writing.off_target) if lines is None else lines,
        key=key,
        height=80,
        on_change=lambda: take_off_target(writing, st.session_state[key], slots),
        placeholder="a prompt a line, on which the edit should do little",
        help="What the edit does to them is shown beside the effect, as KL. Where features lie in a slot, write braces"
        " around what stands for it: {Paris} is the capital of.",
    )
    if fault := writing.faults.get("off-target"):
        st.error(sentence(fault))


def take_off_target(writing: Writing, text: str, slots: list[str]) -> None:
    """What was written of a prompt elsewhere (its tokens, its donor) stays with it."""
    known = {prompt.text: prompt for prompt in writing.off_target}
    writing.faults["off-target"], writing.typed["off-target"] = None, text
    try:
        found = [marked(prompt.text, slots) for prompt in pasted(text)] if text.strip() else []
    except LabError as problem:
        writing.faults["off-target"] = str(problem)
    except ValidationError as problem:
        writing.faults["off-target"] = first_fault(problem)
    else:
        writing.off_target = tuple(
            known[p.text].model_copy(update={"slots": p.slots}) if p.text in known else p for p in found
        )
