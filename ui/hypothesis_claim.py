"""What a hypothesis claims and how it is decided, as text and tables."""

import streamlit as st

from lab import HypothesisFile
from lab.freeze import write
from lab.in_words import decided_beforehand, what_kind
from ui.hypothesis_tables import circuit_table, prompt_table
from ui.sidebar import plain


def claim(file: HypothesisFile) -> None:
    body = file.hypothesis
    told = {"Kind": what_kind(body)} | decided_beforehand(body)
    st.markdown("\n".join(f"- **{name}**: {plain(text)}" for name, text in told.items()))
    if body.notes:
        st.text(body.notes)
    nodes = sum(len(supernode.nodes) for supernode in body.supernodes())
    with st.expander(f"Circuit: {_n(len(body.supernodes()), 'supernode')}, {_n(nodes, 'node')}"):
        st.dataframe(circuit_table(body), hide_index=True, alt="Nodes of the circuit")
    off = f", and {len(body.off_target)} off-target" if body.off_target else ""
    with st.expander(f"Prompts: {len(body.prompts)}{off}"):
        st.dataframe(prompt_table(body), hide_index=True, alt="Prompts and their use")
    with st.expander("As YAML"):
        st.code(write(file), language="yaml", height=400)


def _n(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
