"""What the loaded model tells of a graph's features, kept for the session: forward pass, vocabulary."""

import streamlit as st

from tracer import Graph, ReplacementModel
from tracer.model.record import Record


def made_by(model: ReplacementModel, graph: Graph) -> bool:
    """With the same weights and the same features."""
    ours = (model.model_fingerprint, model.basis_fingerprint)
    return ours == (graph.meta["model_fingerprint"], graph.meta.get("basis_fingerprint"))


@st.cache_resource(max_entries=1, ttl="10m", show_spinner=False)  # patterns and streams of every layer
def record_of(key: str, _model: ReplacementModel, _ids: tuple[int, ...]) -> Record:
    """One forward pass over the prompt of the graph `key`."""
    return _model.record(_ids)


def vocabulary(
    model: ReplacementModel, layer: int, feature: int
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """`ReplacementModel.says`, kept."""
    return _says(f"{model.model_fingerprint} {model.basis_fingerprint}", model, layer, feature)


@st.cache_data(max_entries=5000, show_spinner=False)
def _says(
    fingerprint: str, _model: ReplacementModel, layer: int, feature: int
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    return _model.says(layer, feature)
