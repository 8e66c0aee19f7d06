"""The prompts: typed or pasted as lines, made from a template, read from a CSV file; then looked at and edited."""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from lab import LabError, Prompt, SlottedText, Template, pasted, read_csv
from lab.prompt_sets import MOST_CSV_BYTES, slot_names
from lab.prompts import MOST_PROMPTS
from tracer.errors import first_fault
from ui.sidebar import plain, sentence
from ui.wizard_draft import Refused, Writing
from ui.wizard_table import editor

WAYS = {"lines": "Lines", "template": "Template", "csv": "CSV file"}
ROWS = {"zipped": "The first of each, the second of each …", "product": "Every combination"}
COLUMNS = ("prompt", "target", "competitor", "family", "donor")


def prompts(writing: Writing) -> None:
    tag = f"{writing.id}"
    way = st.segmented_control(
        "Add prompts", list(WAYS), default=writing.typed.get("way", "lines"), key=f"wizard_way_{tag}",
        format_func=WAYS.__getitem__, required=True,
    )  # fmt: skip
    if way != writing.typed.get("way", "lines"):
        writing.said = None
    writing.typed["way"] = way or "lines"
    with st.container():
        {"lines": _lines, "template": _template, "csv": _csv}[writing.typed["way"]](writing, tag)
        if writing.said is not None:
            refused, words = writing.said
            (st.error if refused else st.caption)(words)
    with st.container():
        if writing.prompts or writing.faults.get("prompts"):
            _table(writing)


def add(writing: Writing, new: Sequence[Prompt]) -> str:
    """What has come of it, in words. Raises LabError where they are too many."""
    known = writing.texts()
    fresh = [prompt for prompt in new if prompt.text not in known]
    if len(known) + len(fresh) > MOST_PROMPTS:
        raise LabError(f"that makes {len(known) + len(fresh):,} prompts; a hypothesis has {MOST_PROMPTS:,} at most")
    if fresh:
        writing.prompts = [*writing.prompts, *fresh]
        writing.revision += 1
    twice = len(new) - len(fresh)
    return f"{len(fresh):,} added" + (f", {twice:,} were there already" if twice else "") + "."


def frame(found: Sequence[Prompt], donors: bool, refused: Sequence[Refused] = ()) -> pd.DataFrame:
    """A row a prompt, and those that can't be one yet where they stood."""
    rows = [
        [prompt.text, prompt.target, prompt.competitor, prompt.family, prompt.donor.text if prompt.donor else None]
        for prompt in found
    ]
    for one in refused:
        rows.insert(one.at, [one.row.get(name) for name in COLUMNS])
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype="string")
    return table if donors else table.drop(columns="donor")


def read_table(table: pd.DataFrame, before: Sequence[Prompt]) -> tuple[list[Prompt], list[Refused], str | None]:
    """The prompts of an edited table, the rows that can't be one, and what is wrong with the first of these.

    A prompt whose text is as it was keeps its slots; so does the other prompt of one.
    """
    slots = {text.text: text.slots for prompt in before for text in (prompt, prompt.donor) if text is not None}
    known = {prompt.text: prompt for prompt in before}
    found: list[Prompt] = []
    refused: list[Refused] = []
    fault = None
    for number, row in enumerate(table.to_dict("records"), start=1):
        told = {name: None if pd.isna(value) or value == "" else str(value) for name, value in row.items()}
        was = known.get(told["prompt"] or "")
        if "donor" not in told:
            told["donor"] = was.donor.text if was is not None and was.donor is not None else None
        at = len(found) + len(refused)
        text, donor = told["prompt"], told["donor"]
        if text is None:
            if any(told.values()):
                refused.append(Refused(at, told))
                fault = fault or f"row {number} has no prompt: type one, or take the row out"
            continue
        fields = {name: told[name] for name in ("target", "competitor", "family")}
        try:
            other = was.donor if was is not None else None
            if donor is None or other is None or other.text != donor:
                other = None if donor is None else SlottedText(text=donor, slots=slots.get(donor, {}))
            found.append(Prompt.model_validate({"text": text, "slots": slots.get(text, {}), "donor": other} | fields))
        except ValidationError as problem:
            refused.append(Refused(at, told, was))
            fault = fault or f"row {number}: {first_fault(problem)}; correct it"
    return found, refused, fault


def take_table(writing: Writing, table: pd.DataFrame) -> None:
    """Rows that can't be a prompt stay rows of the table, and the draft is none until they are corrected."""
    writing.prompts, writing.refused, writing.faults["prompts"] = read_table(table, _before(writing))


def take_for_all(writing: Writing, typed: dict[str, str]) -> None:
    """The same in a column of all rows, for each that is not empty; nothing is set where a row can't be a prompt so."""
    table = frame(writing.prompts, True, writing.refused)
    for name, value in typed.items():
        if value:
            table[name] = value
    found, refused, fault = read_table(table, _before(writing))
    if fault is not None:
        writing.said = True, sentence(f"nothing is set: {fault}")
        return
    writing.prompts, writing.refused, writing.said = found, refused, None
    writing.revision += 1


def _before(writing: Writing) -> list[Prompt]:
    return [*writing.prompts, *(one.prompt for one in writing.refused if one.prompt is not None)]


def _table(writing: Writing) -> None:
    donors = any(piece.unit == "donor" for piece in writing.set_pieces())
    with st.popover("Set for all prompts"):
        _for_all(writing, ("target", "competitor", "family", "donor") if donors else ("target", "competitor", "family"))

    def take(table: pd.DataFrame) -> bool:
        take_table(writing, table)
        return False

    editor(
        "wizard_prompts",
        writing,
        donors,
        lambda: frame(writing.prompts, donors, writing.refused),
        take,
        num_rows="dynamic",
        column_config={
            "prompt": st.column_config.TextColumn(width=270, max_chars=20_000),
            "target": st.column_config.TextColumn(
                width=85, help="The token that is expected next. Empty: the likeliest one on that prompt."
            ),
            "competitor": st.column_config.TextColumn(
                width=85, help="The token that it competes with. Empty: the next likeliest one."
            ),
            "family": st.column_config.TextColumn(
                help="Prompts of one template or one name move together: as a family they count once."
            ),
            "donor": st.column_config.TextColumn(help="The other prompt, whose activations the edit takes over."),
        },
    )


def _for_all(writing: Writing, names: Sequence[str]) -> None:
    st.caption("What is left empty here stays as it is.")
    typed = {
        name: st.text_input(name.capitalize(), key=f"wizard_all_{name}_{writing.id}_{writing.revision}")
        for name in names
    }
    if st.button("Set", key=f"wizard_all_{writing.id}"):
        take_for_all(writing, typed)
        st.rerun()


# The three ways to add them -------------------------------------------------------------------------------------------


def _lines(writing: Writing, tag: str) -> None:
    text = st.text_area(
        "A prompt a line",
        writing.typed.get("lines", ""),
        key=f"wizard_lines_{tag}_{writing.revision}",
        height=110,
        placeholder="Lionel Messi plays the sport of\nSerena Williams plays the sport of",
        help="Each ends where the model should answer. What differs between them is found as a slot by itself.",
    )
    writing.typed["lines"] = text
    if st.button("Add the lines", key=f"wizard_add_lines_{tag}"):
        _added(writing, lambda: pasted(text), "lines")


def _template(writing: Writing, tag: str) -> None:
    first = writing.prompts[0].text if writing.prompts else ""
    tag = f"{tag}_{writing.revision}"

    def field(name: str, label: str, otherwise: str = "", placeholder: str = "", help: str | None = None) -> str:
        value, key = writing.typed.get(name, otherwise), f"wizard_{name}_{tag}"
        writing.typed[name] = st.text_input(label, value, key=key, placeholder=placeholder, help=help)
        return writing.typed[name]

    text = field(
        "template",
        "Template",
        first.replace("{", "{{").replace("}", "}}"),
        placeholder="{name} plays the sport of",
        help="Write {name} in place of what varies; {{ is a brace.",
    )
    patterns = {}
    for column, name in zip(st.columns(3), ("family", "target", "competitor"), strict=True):
        with column:
            patterns[name] = field(f"template {name}", name.capitalize(), placeholder="optional; slots may stand here")
    try:
        names = slot_names(text, *patterns.values())
    except LabError as problem:
        st.error(sentence(problem))
        return
    with st.container():
        if not names:
            st.caption(plain("Write {name} in the template where prompts differ; then fill it here."))
    fillings = {}
    for column, name in zip(st.columns(max(len(names), 1)), names, strict=False):
        typed = column.text_area(
            f"{{{name}}}", writing.typed.get(f"slot {name}", ""), key=f"wizard_slot_{name}_{tag}", height=110,
            placeholder="one a line",
        )  # fmt: skip
        writing.typed[f"slot {name}"] = typed
        fillings[name] = tuple(line.strip() for line in typed.split("\n") if line.strip())
    rows = writing.typed.get("rows", "zipped")
    with st.container():
        if len(names) > 1:
            chosen = st.segmented_control(
                "Fillings", list(ROWS), default=rows, key=f"wizard_rows_{tag}", format_func=ROWS.__getitem__,
                required=True,
            )  # fmt: skip
            rows = writing.typed["rows"] = chosen or rows
    if st.button("Add the prompts", key=f"wizard_add_template_{tag}", disabled=not names):
        told = {"text": text, "slots": fillings, "rows": rows} | patterns
        _added(writing, lambda: Template.model_validate(told).prompts(), *(f"slot {name}" for name in names))


def _csv(writing: Writing, tag: str) -> None:
    file = st.file_uploader(
        "CSV file",
        type=["csv"],
        key=f"wizard_csv_{tag}_{writing.revision}",
        max_upload_size=max(1, MOST_CSV_BYTES // 1_000_000),
        help="With a header: prompt, and if wanted family, target, competitor, slot:NAME with the text of a slot.",
    )
    if file is not None:
        _added(writing, lambda: read_csv(file.getvalue()))


def _added(writing: Writing, made: Callable[[], Sequence[Prompt]], *typed: str) -> None:
    """What was typed goes once it is taken."""
    try:
        said = add(writing, made())
    except (LabError, ValidationError) as problem:
        reason = first_fault(problem) if isinstance(problem, ValidationError) else str(problem)
        writing.said = True, sentence(reason)
        return
    for name in typed:
        writing.typed.pop(name, None)
    writing.said = False, plain(said)
    writing.revision += 1
    st.rerun()
