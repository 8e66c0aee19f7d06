"""An edge is what really moves: a source is changed by hand in the real model, with patterns, scales and MLPs held."""

import numpy as np
import pytest
import torch

from tests.helpers import DEVICE, FAMILIES, PROMPT, replacement
from tests.tracer.frozen_model import run_frozen
from tracer.features.basis import FeatureSet

RELATIVE = 1e-4  # as in study/circuit-tracer.md §7
LOGIT_ABSOLUTE, READ_ABSOLUTE = 1e-5, 5e-4


def check_direct(model, graph, sources, logit_absolute=LOGIT_ABSOLUTE, read_absolute=READ_ABSOLUTE):
    """Double each source in turn; each demeaned logit and each feature's frozen read must move by its edge."""
    layout, anatomy = graph.layout, model.anatomy
    record = model.record(graph.token_ids)
    encoding = model.basis.encode(record, graph.meta["excluded"])
    skips = {layer: skip for layer in range(layout.n_layers) if (skip := encoding.skip(layer)) is not None}
    base_logits, base_streams = run_frozen(anatomy, record, {}, None, skips)
    edges = graph.adjacency.tocsc()
    features = FeatureSet(*(torch.from_numpy(x).to(DEVICE) for x in (layout.layer, layout.position, layout.feature)))
    spans = [features.span(layer) for layer in range(layout.n_layers)]
    reads = [encoding.read(i, features.position[span], features.feature[span])[0] for i, span in enumerate(spans)]
    for source in sources:
        written, embedded = _change(graph, record, encoding, features, skips, source)
        logits, streams = run_frozen(anatomy, record, written, embedded, skips)
        column = edges[:, [source]].toarray()[:, 0]
        moved = (logits - logits.mean()) - (base_logits - base_logits.mean())
        for k, target in enumerate(graph.targets):
            edge = column[layout.first_logit + k]
            assert float(moved[target.id]) == pytest.approx(edge, rel=RELATIVE, abs=logit_absolute), graph.ids[source]
        for layer, span in enumerate(spans):
            difference = (streams[layer] - base_streams[layer])[layout.position[span]]
            read = (reads[layer] * difference).sum(-1).cpu().numpy()
            np.testing.assert_allclose(read, column[span], rtol=RELATIVE, atol=read_absolute)


def _change(graph, record, encoding, features, skips, source):
    """What one more of the source writes, by layer, or adds to the embeddings."""
    layout = graph.layout
    layer, position = int(layout.node_layer[source]), int(layout.node_position[source])
    delta = torch.zeros_like(record.embedding)
    kind = layout.kind[source]
    if kind == 2:
        delta[position] = record.embedding[position]
        return {}, delta
    if kind == 0:
        written = {}
        for to, vectors in enumerate(encoding.written(features[torch.tensor([source])])):
            if len(vectors):
                written[to] = torch.zeros_like(record.embedding)
                written[to][position] = vectors[0]
        return written, None
    # an error: what the layer writes there less its nodes, its constants and its skip
    vectors = encoding.written(features)[layer]
    end = features.span(layer).stop
    at = features.position[end - len(vectors) : end] == position
    constant = encoding.constant(layer)
    delta[position] = record.mlp_output[layer][position] - vectors[at].sum(0)
    delta[position] -= 0 if constant is None else constant[position]
    if layer in skips:
        delta[position] -= skips[layer].forward(record.mlp_stream[layer][position], position)
    return {layer: delta}, None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bos", [True, False], ids=["position 0 excluded", "position 0 counts"])
def test_direct_effects_are_the_edges(family, bos):
    model = replacement(FAMILIES[family]())
    ids = model.token_ids(PROMPT)
    graph = model.trace(tokens=ids if bos else ids[1:], max_nodes=80)
    layout = graph.layout
    errors = [i for i in range(layout.first_error, layout.first_embedding) if layout.node_position[i] or not bos]
    sources = [*range(0, 80, 3), *errors, *range(layout.first_embedding, layout.first_logit)]
    check_direct(model, graph, sources)


@pytest.mark.parametrize("broken", ["sign", "scale", "mask"])
def test_a_wrong_edge_is_noticed(broken):
    model = replacement(FAMILIES["llama"]())
    graph = model.trace(PROMPT, max_nodes=40)
    source = int(np.asarray(abs(graph.adjacency).sum(axis=0))[:40].argmax())
    factor = {"sign": -1.0, "scale": 1.01, "mask": 0.0}[broken]
    graph.adjacency.data[graph.adjacency.indices == source] *= factor
    with pytest.raises(AssertionError):
        check_direct(model, graph, [source])
