"""The features that recur in a batch: how often, how strong, where; and from those that are checked to a hypothesis."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lab import About, LabelBody, Record
from tracer.graph.aggregate import Sheet
from ui.batch_hypothesis import of_features
from ui.batch_source import Batch, recurring_of
from ui.export_menu import as_csv
from ui.graph_diff import BY_KEYBOARD
from ui.library_search import words_of
from ui.session import get_lab, me
from ui.sidebar import plain
from ui.wizard_sources import begin_from

LEAST = {0.0: "any", 0.001: "0.1 %", 0.005: "0.5 %", 0.01: "1 %", 0.05: "5 %"}  # of the targets' weight
FIRST_LEAST = 0.005
MOST_LISTED = 500
MOST_OPENED = 5  # links below the table

PERCENT = st.column_config.NumberColumn(format="%.0f %%", width=60)
INFLUENCE = st.column_config.NumberColumn(
    format="%.2f %%",
    width=95,
    help="The share of the targets' explanation that passes through it, summed over its positions; over the graphs"
    " where it is.",
)
ACTIVATION = st.column_config.NumberColumn(
    format="%.3g", width=95, help="At the position where it is most influential; over the graphs where it is."
)


def features(batch: Batch, sheets: Sequence[Sheet]) -> None:
    table, n = with_names(recurring_at_least(sheets), sheets), len(sheets)
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    search = right.text_input(
        "Search", key="batch_search", live="250ms", placeholder="label, L13 or 13/1012", autocomplete="off"
    )
    with left:
        least_field()
    said = (table["name"] + " " + table["number"] + " " + table["label"]).str.lower()
    kept = pd.Series(True, index=table.index)
    for word in words_of(search):
        kept &= said.str.contains(word, regex=False)
    found = table[kept].reset_index(drop=True)
    shown = found.head(MOST_LISTED)
    more = f", the first {MOST_LISTED} are listed" if len(found) > MOST_LISTED else ""
    st.caption(
        f"{len(found):,} features{more}. Where one does not count it was not active, not chosen as a node, or had less"
        " influence; it may still have an effect there."
    )
    if shown.empty:
        return
    event = st.dataframe(
        pd.DataFrame(
            {
                "feature": shown["name"],
                "label": shown["label"],
                "graphs": shown["graphs"],
                "share": 100 * shown["share"],
                "at least": 100 * shown["low"],
                "at most": 100 * shown["high"],
                "influence": 100 * shown["influence_mean"],
                "median": 100 * shown["influence_median"],
                "activation": shown["activation_mean"],
                "median act.": shown["activation_median"],
                "strongest on": [batch.item(key).prompt for key in shown["strongest"]],
            }
        ),
        key=f"batch_features_{hash((tuple(shown['number']), tuple(s.id for s in sheets)))}",
        hide_index=True,
        height=min(460, 38 + 35 * len(shown)),
        on_select="rerun",
        selection_mode="multi-row",
        alt="features of the batch, those of most graphs first",
        column_config={
            "graphs": st.column_config.NumberColumn(
                width=60, help=f"Of {n:,}, in how many it is a node with that influence or more."
            ),
            "share": PERCENT,
            "at least": st.column_config.NumberColumn(
                format="%.0f %%",
                width=70,
                help="The 95 % interval of the share, exact (Clopper–Pearson), if these prompts were drawn at random.",
            ),
            "at most": PERCENT,
            "influence": INFLUENCE,
            "median": INFLUENCE,
            "activation": ACTIVATION,
            "median act.": ACTIVATION,
            "strongest on": st.column_config.TextColumn(width=260),
        },
    )
    chosen = shown.iloc[[row for row in event["selection"]["rows"] if row < len(shown)]]
    with st.container():
        _chosen(batch, sheets, chosen)
    st.download_button(
        "CSV",
        data=lambda: as_csv(found.drop(columns=["name", "number", "strongest", "position"])),
        file_name="recurring-features.csv",
        mime="text/csv",
        key="batch_features_csv",
        icon=":material/download:",
        help=f"All {len(found):,} of them.",
    )


def least_field() -> None:
    st.select_slider(
        "A feature counts where its influence is at least",
        list(LEAST),
        value=st.session_state.get("batch_least_kept", FIRST_LEAST),
        key="batch_least",
        format_func=LEAST.__getitem__,
        help="In that graph. Graphs hold thousands of features that hardly matter, and these recur too.",
    )


def recurring_at_least(sheets: Sequence[Sheet]) -> pd.DataFrame:
    """By what the field says, also where it is not drawn."""
    least = st.session_state.get("batch_least", st.session_state.get("batch_least_kept", FIRST_LEAST))
    st.session_state["batch_least_kept"] = least
    return recurring_of(tuple(one.id for one in sheets), least, sheets)


def with_names(table: pd.DataFrame, sheets: Sequence[Sheet]) -> pd.DataFrame:
    """With columns `name`, `number` (layer/index) and `label`, what the lab calls it."""
    made_of = sheets[0].meta
    said: dict[tuple[int | None, int | None], str] = {}
    if made_of["basis_fingerprint"]:
        about = About(model=made_of["model_fingerprint"], basis=made_of["basis_fingerprint"])
        labels: list[Record[LabelBody]] = get_lab().find("label", me(), about)
        said = {(label.about.layer, label.about.feature): label.head.body.text for label in reversed(labels)}
    pairs = list(zip(table["layer"].tolist(), table["feature"].tolist(), strict=True))
    return table.assign(
        name=[f"L{layer} · {feature}" for layer, feature in pairs],
        number=[f"{layer}/{feature}" for layer, feature in pairs],
        label=[said.get(pair, "") for pair in pairs],
    )


def _chosen(batch: Batch, sheets: Sequence[Sheet], chosen: pd.DataFrame) -> None:
    if chosen.empty:
        st.caption(f"Check rows to open them where they are strongest, or to make them a hypothesis. {BY_KEYBOARD}")
        return
    for row in chosen.head(MOST_OPENED).to_dict("records"):
        strongest_link(batch, row)
    kept_back = len(batch.items) - len(sheets)
    if st.button(
        f"Make {'this feature' if len(chosen) == 1 else f'these {len(chosen)} features'} a hypothesis",
        key="batch_hypothesis",
        type="primary",
        icon=":material/experiment:",
        help="A claim about them, with the prompts of this batch. Those they were found on are on the discovery side.",
    ):
        begin_from(lambda _: of_features(batch, sheets, chosen.to_dict("records")))
    st.caption(
        f"They were found on {len(sheets):,} prompts, which can't test them;"
        + (
            f" the {kept_back:,} that were kept back can."
            if kept_back > 0
            else " add others on the next page to do so."
        )
    )


def strongest_link(batch: Batch, row: dict) -> None:
    """`row` of `with_names`."""
    prompt = " ".join(batch.item(row["strongest"]).prompt.split())
    st.page_link(
        "pages/graph.py",
        label=f"{row['name']} {plain(row['label'])} in “{plain(prompt[:60])}”",
        icon=":material/hub:",
        query_params={
            "graph": row["strongest"],
            "select": f"{row['layer']}_{row['feature']}_{row['position']}",
        },
    )
