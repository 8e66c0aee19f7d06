"""The frontend's JSON: a pruned graph as circuit-tracer's server and Neuronpedia show it (study/circuit-tracer.md §5).

It holds what pruning kept, so a graph comes back as its pruned self; the whole graph goes through `circuit_tracer`.
`scan` says whose feature numbers these are. Neuronpedia wants its own name of the model there, circuit-tracer the
transcoder set. Without one it is the feature set; for neurons, which no set numbers, the model: feature i of layer l is
then neuron i of that layer's MLP. Bias nodes are left out, and nothing is said of this machine's folders, or of
persons that the caller does not name.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracer.errors import TracerError
from tracer.graph.graph import Graph
from tracer.graph.layout import KINDS
from tracer.interchange import schema
from tracer.interchange.feature_numbers import cantor
from tracer.interchange.files import reading, writing
from tracer.interchange.foreign import Report
from tracer.interchange.frontend_reader import read
from tracer.interchange.limits import DEFAULT, Limits, check_depth
from tracer.interchange.naming import public_name, scan_of, vocabulary_id
from tracer.interchange.schema import Link, Metadata, Node, QParams, parse


def load(path: str | Path, limits: Limits = DEFAULT) -> tuple[Graph, Report]:
    """The pruned graph of a file, and what else was in it. Raises TracerError for what is no whole graph."""
    with reading(path, limits.json_bytes) as file:
        data = file.read(limits.json_bytes)
    check_depth(data, limits.depth)
    return read(parse(data), limits)


def save(
    graph: Graph,
    path: str | Path,
    slug: str,
    *,
    scan: str | None = None,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    pins: Sequence[str] = (),
    supernodes: Sequence[tuple[str, Sequence[str]]] = (),
    source_set: str | None = None,
    licence: str | None = None,
    notice: str | None = None,
    labels: Mapping[str, str] | None = None,
    creator: str | None = None,
) -> None:
    """Write the graph pruned at these thresholds.

    `slug` names it on the page; `pins` and the members of `supernodes` (label, members) are ids of `Graph.ids`;
    `source_set` is Neuronpedia's name of the feature set, given only if it knows one (study/neuronpedia.md §2.2);
    `notice` is what the model's terms want to be said, and shown with the graph there; `labels` name nodes, by their
    ids (those of logits say the token, always); `creator` is shown as who made it.
    Raises TracerError where the file would not open, for a pin that pruning drops, or if it can't be written.
    """
    pruned = graph.prune(node_threshold, edge_threshold)
    names = file_ids(graph)
    known = {graph.ids[i]: names[i] for i in np.flatnonzero(pruned.node_mask)}
    lost = sorted({*pins, *(member for _, members in supernodes for member in members)} - set(known))
    if lost:
        raise TracerError(f"{lost[0]} is pinned or grouped, but pruned at these thresholds; raise them or leave it out")
    thresholds = schema.PruningSettings(node_threshold=node_threshold, edge_threshold=edge_threshold)
    metadata = Metadata(
        slug=slug,
        scan=scan or scan_of(graph),
        prompt_tokens=graph.tokens,
        prompt=graph.meta["prompt"],
        node_threshold=node_threshold,
        schema_version=1,
        pruning_settings=thresholds,
        feature_details=schema.FeatureDetails(neuronpedia_source_set=source_set) if source_set else None,
        info=schema.Info(
            generator=schema.Generator(name="Hypograph"),
            neuronpedia_source_set=source_set,
            description=notice,
            creator_name=creator,
        ),
        model=public_name(graph.meta["model"]),
        features=public_name(graph.meta["features"]),
        licence=licence,
        notice=notice,
    )
    shown = QParams(
        pinnedIds=[known[pin] for pin in pins],
        supernodes=[[label, *(known[member] for member in members)] for label, members in supernodes],
    )
    targets, sources = pruned.edges()
    weights = pruned.kept.data
    order = np.lexsort((sources, targets))
    said = labels or {}
    nodes = [
        _node(graph, int(i), names[i], pruned.cumulative_scores[i], said.get(graph.ids[i], ""))
        for i in np.flatnonzero(pruned.node_mask)
    ]
    links = [
        Link(source=names[s], target=names[t], weight=float(w))
        for s, t, w in zip(sources[order], targets[order], weights[order], strict=True)
    ]
    document = {
        "metadata": metadata.model_dump(exclude_none=True),
        "qParams": shown.model_dump(),
        "nodes": [node.model_dump() for node in nodes],
        "links": [link.model_dump() for link in links],
    }
    data = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    schema.check(data)
    with writing(path) as file:
        file.write(data)


def file_ids(graph: Graph) -> list[str]:
    """(nodes without bias,): what each is called in the file. Errors have the ids that circuit-tracer gives them since
    they no longer collide with features."""
    layout, last = graph.layout, graph.layout.n_tokens - 1
    names = graph.ids[: layout.n_features]
    names += [f"{layer}_-1_{p}" for layer in range(layout.n_layers) for p in range(layout.n_tokens)]
    names += [f"E_{token}_{p}" for p, token in enumerate(graph.token_ids)]
    return names + [f"{layout.n_layers + 1}_{vocabulary_id(t, k)}_{last}" for k, t in enumerate(graph.targets)]


def _node(graph: Graph, i: int, name: str, score: float, label: str) -> Node:
    layout = graph.layout
    kind, layer, position = KINDS[layout.kind[i]], int(layout.node_layer[i]), int(layout.node_position[i])
    error = Node(
        node_id=name,
        feature=-1,
        layer=str(layer),
        ctx_idx=position,
        feature_type=schema.ERROR,
        token_prob=0.0,
        is_target_logit=False,
        run_idx=0,
        reverse_ctx_idx=0,
        jsNodeId=f"{layer}_-1-{position}",
        clerp=label,
        influence=float(score),
    )
    if kind == "error":
        return error
    changes: dict[str, Any]
    if kind == "feature":
        index, activation = int(layout.feature[i]), float(graph.activation[i])
        changes = {"feature_type": schema.FEATURE, "feature": cantor(layer, index), "jsNodeId": f"{layer}_{index}-0"}
        changes["activation"] = None if np.isnan(activation) else activation
    elif kind == "embedding":
        changes = {"feature_type": schema.EMBEDDING, "feature": position, "layer": "E"}
        changes["jsNodeId"] = f"E_{graph.token_ids[position]}-{position}"
    else:
        k = i - layout.first_logit
        target, vocabulary = graph.targets[k], vocabulary_id(graph.targets[k], k)
        changes = {"feature_type": schema.LOGIT, "feature": vocabulary, "layer": str(layer + 1), "influence": None}
        changes |= {"token_prob": target.weight, "is_target_logit": k == 0, "jsNodeId": f"L_{vocabulary}-{position}"}
        probability = target.weight if target.probability is None else target.probability
        changes["clerp"] = f'Output "{target.token}" (p={probability:.3f})'
    return error.model_copy(update=changes)
