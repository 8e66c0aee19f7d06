"""Two graphs side by side on the Compare page: chosen from those that are kept, or named by the address."""

import streamlit as st

from service import Service
from ui.graph_diff import graph_diff

MOST = 500


def compare_graphs(service: Service) -> None:
    entries = service.cache.recent(MOST)
    names = {entry.key: str(entry.meta.get("prompt", "")) or entry.key[:8] for entry in entries}
    chosen = []
    for side, place in zip(("left", "right"), st.columns(2), strict=True):
        said = st.query_params.get(side)
        options = list(names) + ([said] if said and said not in names else [])
        chosen.append(
            place.selectbox(
                f"Graph on the {side}",
                options,
                index=options.index(said) if said else None,
                format_func=lambda key: names.get(key, key),
                key=f"compare_{side}",
                placeholder="choose a graph",
            )
        )
    left, right = chosen
    if not left or not right:
        st.info("Choose two graphs." if names else "No graphs yet: trace two prompts, or import files in the Library.")
        return
    if st.query_params.to_dict() != {"left": left, "right": right}:
        st.query_params.from_dict({"left": left, "right": right})
    graph_diff(service, left, right)
