"""Which neurons become nodes: total attribution against two independent computations, and the fold into errors."""

import numpy as np
import pytest
import torch

from tests.helpers import FAMILIES, PROMPT, replacement, tiny_llama
from tracer.attribution.selection import keep_most_influential, largest, n_candidates, total_attribution
from tracer.errors import silent
from tracer.graph.influence import influence, normalised


def scored(model, ids, **options):
    """Total attribution to the targets of a full graph, and that graph."""
    graph = model.trace(tokens=ids, max_nodes=None, **options)
    record = model.record(ids)
    encoding = model.basis.encode(record, graph.meta["excluded"])
    targets = model.resolve_targets(record, options.get("targets"), options.get("max_logits", 10), 0.95)
    return graph, total_attribution(model.anatomy, record, encoding, targets, silent)


@pytest.mark.parametrize("family", FAMILIES)
def test_total_attribution_is_the_sum_over_all_paths_of_the_graph(family):
    model = replacement(FAMILIES[family]())
    graph, scores = scored(model, model.token_ids(PROMPT), targets=[7])
    layout = graph.layout
    n = layout.n_features
    rows = graph.adjacency.toarray().astype(np.float64)
    through = rows[:n, :n] / graph.value[:n, None]  # of a target's attribution, what flows on to each source
    total = rows[layout.first_logit, :n].copy()
    for layer in reversed(range(layout.n_layers)):
        here = slice(layout.layer_starts[layer], layout.layer_starts[layer + 1])
        total += total[here] @ through[here]
    ours = scores[layout.layer, layout.position, layout.feature].numpy()
    np.testing.assert_allclose(ours, np.abs(total), rtol=1e-3, atol=1e-4)


def test_targets_are_weighted():
    model = replacement(tiny_llama())
    ids = model.token_ids(PROMPT)
    one, two, both = (scored(model, ids, targets=t)[1] for t in ([5], [7], [5, 7]))
    torch.testing.assert_close(both, 0.5 * one + 0.5 * two)


@pytest.mark.parametrize("family", FAMILIES)
def test_folding_gives_the_graph_of_the_kept_features(family):
    model = replacement(FAMILIES[family]())
    ids = model.token_ids(PROMPT)
    graph = model.trace(tokens=ids, max_nodes=None, targets=[7])
    weights = graph.weights
    order = influence(normalised(graph.adjacency, graph.layout), graph.layout, weights)
    kept, folded = keep_most_influential(graph.adjacency, graph.layout, order, 50)
    assert set(kept) == set(np.argsort(-order[: graph.layout.n_features], kind="stable")[:50])
    small = model.trace(tokens=ids, max_nodes=50, targets=[7])
    full = np.concatenate([kept, np.arange(graph.layout.n_features, graph.layout.n_nodes)])
    # the same 50 nodes as the other trace? then both ways must give the same numbers
    a = list(zip(graph.layout.layer[kept], graph.layout.position[kept], graph.layout.feature[kept], strict=True))
    b = list(zip(small.layout.layer, small.layout.position, small.layout.feature, strict=True))
    shared = [(a.index(x), b.index(x)) for x in b if x in a]
    assert len(shared) > 25
    ours, theirs = (np.array(side) for side in zip(*shared, strict=True))
    np.testing.assert_allclose(
        folded.toarray()[np.ix_(ours, ours)], small.adjacency.toarray()[np.ix_(theirs, theirs)], atol=1e-5
    )
    gaps = np.abs(folded.sum(axis=1) - graph.adjacency.sum(axis=1)[full])
    assert gaps.max() < 1e-4


def test_largest_leaves_zeros_out():
    scores = torch.zeros(2, 3, 4)
    scores[1, 2, 3], scores[0, 1, 0] = 5.0, 1.0
    features = largest(scores, 10)
    assert [x.tolist() for x in (features.layer, features.position, features.feature)] == [[0, 1], [1, 2], [0, 3]]


def test_candidates():
    assert [n_candidates(n) for n in (50, 500, 2000, 5000)] == [300, 3000, 3000, 5000]
