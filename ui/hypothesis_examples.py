"""The worked examples that come along: listed below the notebook, and one of them with its evidence."""

import streamlit as st

from lab import About, LabError, Person, Record, Revision, Role
from lab.freeze import write
from lab.in_words import kind_name
from lab.runs.bodies import RunBody
from lab.runs.bundle import Bundle
from lab.runs.examples import example, names
from ui.evidence import evidence
from ui.hypothesis_claim import claim
from ui.hypothesis_go import STEP_BACK, go
from ui.hypothesis_look import verdict_badge
from ui.sidebar import plain, sentence
from ui.wizard_draft import of_body
from ui.wizard_sources import begin_from


@st.cache_resource(max_entries=20, show_spinner=False)
def _example(name: str) -> Bundle:
    return example(name)


def worked_examples() -> None:
    """Nothing where the app was installed without them."""
    if not (found := names()):
        return
    st.subheader("Worked examples")
    st.caption(
        "About the default model, frozen before they were run, and kept as they came out. They are in no notebook: they"
        " change no p of yours."
    )
    for name in found:
        row = st.container(horizontal=True, vertical_alignment="center", gap="small")
        try:
            bundle = _example(name)
        except LabError as problem:
            row.error(sentence(problem))
            continue
        row.button(
            plain(bundle.run.title), key=f"example_{name}", type="tertiary", on_click=go, kwargs={"example": name}
        )
        row.markdown(f"{verdict_badge(bundle.found)} :gray-badge[{kind_name(bundle.run.body.kind)}]")


def worked_example(name: str) -> None:
    st.button(STEP_BACK, key="to_hypotheses", type="tertiary", icon=":material/arrow_back:", on_click=go)
    try:
        bundle = _example(name)
    except LabError as problem:
        st.error(f"The worked example of this link can't be opened: {plain(str(problem))}.")
        return
    file = bundle.run.hypothesis
    st.header(plain(bundle.run.title))
    st.text(bundle.run.body.claim)
    if (freeze := file.freeze) is not None:
        st.caption(f"A worked example, frozen {freeze.time:%d %b %Y, %H:%M} UTC; SHA-256 `{freeze.hash}`.")
    row = st.container(horizontal=True, gap="small")
    if row.button(
        "Write one of your own from this",
        key="copy",
        icon=":material/edit:",
        help="The form, filled in with this one: change what you want to ask. It is a draft of yours, frozen anew.",
    ):
        begin_from(lambda model: of_body(bundle.run.body, f"example {name}"))
    row.download_button(
        "YAML",
        write(file),
        f"{name}.yaml",
        "application/yaml",
        key="yaml",
        icon=":material/download:",
        on_click="ignore",
        help="The canonical text with its hash, for `python -m tracer verify` and `test`.",
    )
    st.subheader("Evidence")
    evidence(_as_record(name, bundle), bundle.kept, bundle.found, bundle.notebook)
    st.subheader("What it claims, and how it is decided")
    claim(file)


def _as_record(name: str, bundle: Bundle) -> Record[RunBody]:
    """As the evidence takes it; it is in no database."""
    author = "Hypograph"
    head = Revision(name, 1, author, bundle.started, bundle.run)
    return Record(name, "run", Person("", author, Role.VIEWER), "lab", About(), bundle.started, None, head)
