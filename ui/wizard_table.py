"""A table that is edited, where what stands in it is kept by the draft."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from ui.wizard_draft import Writing

ROW = 35  # px
MOST_ROWS = 8  # of a table that does not scroll


def editor(
    name: str,
    writing: Writing,
    of: object,
    frame: Callable[[], pd.DataFrame],
    take: Callable[[pd.DataFrame], bool],
    **look: Any,
) -> None:
    """`frame` is what the draft has, `take` brings back what people made of it; True: the draft is other than that.

    The browser keeps what is edited as changes to the table as it was first sent: that one is sent until the draft is
    changed from elsewhere (`writing.revision`, or what the table is `of`) or the page is left. So the cell that is
    worked on stays where it is.
    """
    key = f"{name}_{writing.id}_{writing.revision}_{hash(of)}"
    bases: dict[str, pd.DataFrame] = st.session_state.setdefault("wizard_tables", {})
    if key not in st.session_state or key not in bases:
        for old in [other for other in bases if other.startswith(f"{name}_")]:
            del bases[old]
        bases[key] = frame()
    if take(st.data_editor(bases[key], key=key, hide_index=True, width="stretch", placeholder="", **look)):
        writing.revision += 1
        st.rerun()
