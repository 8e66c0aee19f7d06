"""What the loaded model tells of a graph: did it make it, and the forward pass over its prompt, kept for a while."""

from collections.abc import Sequence

import streamlit as st

from tracer import Graph, ReplacementModel
from tracer.model.record import Record

SHORT = 32
"""Tokens. Twenty people read twenty graphs, most of short prompts: 32 such passes take what two long ones may."""


def made_by(model: ReplacementModel, graph: Graph) -> bool:
    """With the same weights and the same features."""
    ours = (model.model_fingerprint, model.basis_fingerprint)
    return ours == (graph.meta["model_fingerprint"], graph.meta.get("basis_fingerprint"))


def record_of(model: ReplacementModel, ids: Sequence[int]) -> Record:
    """One forward pass, kept: over a graph's prompt, and over a text that somebody tries."""
    record = _of_short if len(ids) <= SHORT else _of_long
    return record(_fingerprints(model), model, tuple(ids))


@st.cache_resource(max_entries=32, ttl="10m", show_spinner=False)  # patterns and streams of every layer
def _of_short(fingerprints: str, _model: ReplacementModel, ids: tuple[int, ...]) -> Record:
    return _model.record(ids)


@st.cache_resource(max_entries=2, ttl="10m", show_spinner=False)
def _of_long(fingerprints: str, _model: ReplacementModel, ids: tuple[int, ...]) -> Record:
    return _model.record(ids)


def _fingerprints(model: ReplacementModel) -> str:
    return f"{model.model_fingerprint} {model.basis_fingerprint}"
