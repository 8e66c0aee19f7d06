"""The prompts of a run as a table, on the page and as CSV."""

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from lab.hypothesis import HypothesisBody
from lab.in_words import what_effect
from lab.runs.keeping import Kept
from lab.runs.result import Result
from lab.runs.words import measured, why_excluded
from ui.export_menu import as_csv


def prompt_table(body: HypothesisBody, kept: Kept, found: Result) -> pd.DataFrame:
    """One row a test prompt that is finished; what a prompt that is left out has not is NaN."""
    return pd.DataFrame(
        {
            "prompt": [line.number for line in found.prompts],
            "text": [line.text for line in found.prompts],
            "unit": [line.unit for line in found.prompts],
            "baseline": [line.baseline for line in found.prompts],
            "effect": [line.effect for line in found.prompts],
            "controls": [line.controls for line in found.prompts],
            "donor": [line.donor for line in found.prompts],
            "kl": [line.kl for line in found.prompts],
            "predicted": [line.predicted for line in found.prompts],
            "excluded": [why_excluded(body, kept.prompts[f"test {line.number}"]) for line in found.prompts],
        }
    )


def show_table(body: HypothesisBody, table: pd.DataFrame, unit: str, name: str, run: str) -> None:
    """`name`: of the file; `run`: its id."""

    def number(name: str, help: str) -> ColumnConfig:
        return st.column_config.NumberColumn(name, help=help, format="%.3f")

    columns = {
        "prompt": st.column_config.NumberColumn("#", width=40, help="Its number in the record."),
        "text": st.column_config.TextColumn("prompt", width="medium"),
        "unit": st.column_config.TextColumn("unit", help="What counts once: its family, or the prompt itself."),
        "baseline": number(f"without, {unit}", "The metric without the edit."),
        "effect": number(f"{measured(body)}, {unit}", f"The metric {what_effect(body)}."),
        "controls": number(f"controls' mean, {unit}", "Mean effect of the control sets of the first kind."),
        "donor": number(f"on the donor, {unit}", "The metric on the prompt's donor, without the edit."),
        "kl": number("KL, nats", "Of the next token, from without the edit to with it."),
        "predicted": number(f"foretold, {unit}", "By the graph of the prompt, before it was measured."),
        "excluded": st.column_config.TextColumn("left out", help="By the rule of the record, and why.", width="medium"),
    }
    empty = [column for column in ("predicted", "controls", "donor") if table[column].isna().all()]
    empty += [] if table["excluded"].any() else ["excluded"]
    empty += ["unit"] if (table["unit"] == table["text"]).all() else []
    st.dataframe(
        table.drop(columns=empty),
        hide_index=True,
        placeholder="",
        column_config=columns,
        alt="the prompts of this run, one a row",
    )
    st.download_button(
        "CSV: all prompts",
        data=lambda: as_csv(table),
        file_name=f"{name}-prompts.csv",
        mime="text/csv",
        key=f"evidence_csv_{run}",
        on_click="ignore",
    )
