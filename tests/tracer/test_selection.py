"""Which neurons become nodes: total attribution against two independent computations, and the fold into errors."""

import numpy as np
import pytest
import torch

from tests.helpers import FAMILIES, PROMPT, replacement, tiny_llama
from tracer.attribution.selection import largest, n_candidates, total_attribution
from tracer.errors import silent


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
    ours = scores[layout.layer, layout.position, layout.feature].cpu().numpy()
    np.testing.assert_allclose(ours, np.abs(total), rtol=1e-3, atol=1e-4)


def test_targets_are_weighted():
    model = replacement(tiny_llama())
    ids = model.token_ids(PROMPT)
    one, two, both = (scored(model, ids, targets=t)[1] for t in ([5], [7], [5, 7]))
    torch.testing.assert_close(both, 0.5 * one + 0.5 * two)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_not_chosen_joins_the_errors(family):
    """The chosen are the most influential of the whole graph, and keep their edges; rows sum as before."""
    model = replacement(FAMILIES[family]())
    ids = model.token_ids(PROMPT)
    graph = model.trace(tokens=ids, max_nodes=None, targets=[7])
    small = model.trace(tokens=ids, max_nodes=50, targets=[7])
    whole = list(zip(graph.layout.layer, graph.layout.position, graph.layout.feature, strict=True))
    kept = [whole.index(x) for x in zip(small.layout.layer, small.layout.position, small.layout.feature, strict=True)]
    order = np.argsort(-graph.influence[: graph.layout.n_features], kind="stable")
    assert len(set(kept) & set(order[:60])) > 40  # candidates are chosen first, so not just the same
    full = np.concatenate([kept, np.arange(graph.layout.n_features, graph.layout.n_nodes)])
    tokens = slice(graph.layout.first_embedding, graph.layout.first_logit)
    theirs = graph.adjacency.toarray()[full]
    ours = small.adjacency.toarray()
    np.testing.assert_allclose(ours[:, :50], theirs[:, kept], atol=1e-5)
    np.testing.assert_allclose(
        ours[:, small.layout.first_embedding : small.layout.first_logit], theirs[:, tokens], atol=1e-5
    )
    np.testing.assert_allclose(ours.sum(axis=1), theirs.sum(axis=1), atol=1e-4)
    assert small.dropped is None


def test_largest_leaves_zeros_out():
    scores = torch.zeros(2, 3, 4)
    scores[1, 2, 3], scores[0, 1, 0] = 5.0, 1.0
    features = largest(scores, 10)
    assert [x.tolist() for x in (features.layer, features.position, features.feature)] == [[0, 1], [1, 2], [0, 3]]


def test_candidates():
    assert [n_candidates(n) for n in (50, 500, 2000, 5000)] == [300, 3000, 3000, 5000]
