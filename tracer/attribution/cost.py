"""How many operations a sweep needs: only those of the causal cone, a multiply-add counted as two.

For estimates before a trace, and for the share of the machine's rate that `benchmarks/trace.py` reports.
"""

import numpy as np

from tracer.graph.layout import Layout
from tracer.model.anatomy import Anatomy


def sweep_operations(
    anatomy: Anatomy,
    layout: Layout,
    first: int,
    nodes: np.ndarray | None = None,
    cross_layer: bool = False,
    skips: bool = False,
) -> float:
    """Operations of the matrix products for the rows of `nodes` (None: all); `first` is 1 where no gradient goes back
    through position 0.

    A target at layer l and position P passes attentions l … 0 at positions first … P. At each: W_Oᵀ (2·D·H·d a
    position), the pattern (2·H·d a pair of query and key), W_Vᵀ (2·G·d·D a position); but at the first of them, W_Oᵀ
    and the pattern for P alone. An edge costs 2·D for each layer at which the source writes; so does an error or an
    embedding. A linear skip costs 2·D² a position.
    """
    part = anatomy.layers[0]
    heads, values, d_model = part.n_heads * part.head_dim, part.n_kv_heads * part.head_dim, anatomy.d_model
    if nodes is None:
        nodes = np.concatenate([np.arange(layout.n_features), np.arange(layout.first_logit, layout.first_bias)])
    top, position = layout.node_layer[nodes], layout.node_position[nodes]  # sources lie in layers below `top`
    layer = np.minimum(top, layout.n_layers - 1)
    width = position + 1 - first
    attention = (layer + 1) * (2 * d_model * (heads + values) * width + 2 * heads * width * (position + 1))
    attention -= (width - 1) * (2 * d_model * heads + 2 * heads * (position + 1))
    written = layout.features_below
    if cross_layer:
        written = written.cumsum(0)  # a feature writes to all layers from its own on
    visible = written[top, position + 1]
    reads = 2 * d_model * (visible + top * width + width)
    skipped = 2 * d_model**2 * top * width if skips else 0
    return float((attention + reads + skipped).sum())


def expected_layout(anatomy: Anatomy, n_tokens: int, n_features: int, n_targets: int) -> Layout:
    """A layout as it may come out, features spread evenly: for an estimate before anything is traced."""
    n_layers = len(anatomy.layers)
    cells = np.linspace(0, n_layers * n_tokens - 1, n_features).astype(np.int64)
    return Layout(cells // n_tokens, cells % n_tokens, np.zeros_like(cells), n_layers, n_tokens, n_targets)
