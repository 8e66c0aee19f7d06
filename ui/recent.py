"""The graphs traced lately: open one, or take its prompt and settings to change them."""

from datetime import datetime
from typing import Any

import streamlit as st

from cache import Entry
from service import Service
from ui.sidebar import plain

SHOWN = 8


def is_empty(service: Service) -> bool:
    return len(service.cache) == 0


def recent_graphs(service: Service) -> None:
    st.subheader("Recent graphs")
    entries = service.cache.recent(SHOWN)
    if not entries:
        st.caption("None yet. Trace a prompt: its graph is kept on this machine and listed here.")
    for entry in entries:
        _row(entry)


def _row(entry: Entry) -> None:
    meta = entry.meta
    prompt = str(meta.get("prompt", ""))
    when = datetime.fromtimestamp(entry.stored).strftime("%d %b, %H:%M")
    text, details, open_, again = st.columns([6, 4, 1.2, 1.6], vertical_alignment="center")
    text.text(prompt if len(prompt) <= 90 else prompt[:89] + "…")
    explained = ", ".join(meta.get("explains", [])[:2])
    details.caption(plain(f"{meta.get('model')} · {explained} · {when}"))
    open_.page_link("pages/graph.py", label="Open", query_params={"graph": entry.key})
    again.button(
        "Change", key=f"again_{entry.key}", help="Take prompt and settings above", on_click=_take, args=(meta,)
    )


def _take(meta: dict[str, Any]) -> None:
    """Fill the form above with a graph's prompt and settings."""
    state, settings = st.session_state, meta.get("settings", {})
    state["prompt"] = str(meta.get("prompt", ""))
    state["several_lines"] = "\n" in state["prompt"]
    state["mode"] = "Plain"
    for name in ("max_logits", "logit_mass"):
        if name in settings:
            state[name] = settings[name]
    nodes = settings.get("max_nodes", "auto")
    state["max_nodes"] = nodes if isinstance(nodes, int) else None
    targets = settings.get("targets")
    if isinstance(targets, dict):
        state["target_kind"], state["target_a"], state["target_b"] = "Difference", targets["a"], targets["b"]
    elif targets:
        state["target_kind"], state["target_tokens"] = "Chosen tokens", targets
    else:
        state["target_kind"] = "Most likely"
