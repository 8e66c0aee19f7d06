"""An edge is what really moves: a source is changed by hand in the real model, with patterns, scales and MLPs held."""

import numpy as np
import pytest
import torch

from tests.helpers import FAMILIES, PROMPT, replacement
from tests.tracer.frozen_model import run_frozen

RELATIVE = 1e-4  # as in study/circuit-tracer.md §7
LOGIT_ABSOLUTE, READ_ABSOLUTE = 1e-5, 5e-4


def check_direct(model, graph, sources, logit_absolute=LOGIT_ABSOLUTE, read_absolute=READ_ABSOLUTE):
    """Double each source in turn; each demeaned logit and each neuron's frozen read must move by its edge."""
    layout, anatomy = graph.layout, model.anatomy
    record = model.record(graph.token_ids)
    encoding = model.basis.encode(record, graph.meta["excluded"])
    base_logits, base_streams = run_frozen(anatomy, record, {})
    edges = graph.adjacency.tocsc()
    features = [torch.from_numpy(x) for x in (layout.layer, layout.position, layout.feature)]
    reads = []
    for layer in range(layout.n_layers):
        here = features[0] == layer
        reads.append(encoding.read(layer, features[1][here], features[2][here])[0])
    for source in sources:
        written, embedded = _change(graph, record, encoding, source)
        logits, streams = run_frozen(anatomy, record, written, embedded)
        column = edges[:, [source]].toarray()[:, 0]
        moved = (logits - logits.mean()) - (base_logits - base_logits.mean())
        for k, target in enumerate(graph.targets):
            edge = column[layout.first_logit + k]
            assert float(moved[target.id]) == pytest.approx(edge, rel=RELATIVE, abs=logit_absolute), graph.ids[source]
        for layer in range(layout.n_layers):
            here = layout.layer == layer
            difference = (streams[layer] - base_streams[layer])[layout.position[here]]
            read = (reads[layer] * difference).sum(-1).numpy()
            np.testing.assert_allclose(read, column[: layout.n_features][here], rtol=RELATIVE, atol=read_absolute)


def _change(graph, record, encoding, source):
    """What one more of the source writes, by layer, or adds to the embeddings."""
    layout = graph.layout
    layer, position = int(layout.node_layer[source]), int(layout.node_position[source])
    delta = torch.zeros_like(record.embedding)
    kind = layout.kind[source]
    if kind == 2:
        delta[position] = record.embedding[position]
        return {}, delta
    here = torch.tensor([position])
    if kind == 0:
        delta[position] = encoding.write(layer, here, torch.tensor([layout.feature[source]]))[0]
    else:  # an error: what the layer writes there less its nodes
        chosen = torch.from_numpy(layout.feature[(layout.layer == layer) & (layout.position == position)])
        own = encoding.write(layer, here.expand(len(chosen)), chosen).sum(0)
        constant = encoding.constant(layer)
        delta[position] = record.mlp_output[layer][position] - own - (0 if constant is None else constant[position])
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
