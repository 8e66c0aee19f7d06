"""From the frontend's file to a graph: both dialects of feature numbers and of error ids, what is unknown counted."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracer.errors import TracerError
from tracer.graph.file import Target
from tracer.graph.graph import Graph
from tracer.interchange.feature_numbers import read_indices
from tracer.interchange.foreign import Edges, Report, check_edges, check_size, foreign_graph
from tracer.interchange.limits import DEFAULT, Limits
from tracer.interchange.naming import VIRTUAL_ID, quoted
from tracer.interchange.schema import EMBEDDING, ERROR, FEATURE, LOGIT, File, Node
from tracer.interchange.shared_ids import settle


@dataclass
class Table:
    """The file's nodes of the four known types, in its order, each with its place in the graph to be made."""

    nodes: list[Node]
    kind: np.ndarray  # of the node type
    layer: np.ndarray  # −1 for embeddings, L for logits
    position: np.ndarray
    number: np.ndarray  # by which `Edges` counts nodes
    n_layers: int

    def of(self, kind: str) -> list[Node]:
        return [node for node in self.nodes if node.feature_type == kind]


def read(file: File, limits: Limits = DEFAULT) -> tuple[Graph, Report]:
    """The graph has error nodes at all layers and tokens; those that the file leaves out have no edges.

    Raises TracerError for parts that don't make a graph: ids that name two nodes, links to an earlier layer, positions
    outside the prompt, feature numbers of no known dialect. Links to nodes that are not there are ignored, as the page
    does, and counted.
    """
    metadata, n_tokens = file.metadata, len(file.metadata.prompt_tokens)
    ignored = Counter({f"unknown fields of {place}": n for place, n in file.unknown_fields().items()})
    check_edges(len(file.links), limits)
    known = [node for node in file.nodes if node.feature_type in (FEATURE, ERROR, EMBEDDING, LOGIT)]
    table = _table(known, n_tokens, limits)
    ignored["nodes of other types"] = len(file.nodes) - len(table.nodes)
    features = table.kind == FEATURE
    indices, dialect = read_indices(table.of(FEATURE), table.layer[features].tolist())
    where = _by_id(table)
    edges = _edges(file, table, where, ignored)
    graph, place = foreign_graph(
        np.stack([table.layer[features], table.position[features], np.array(indices, dtype=np.int64)], axis=1),
        np.array([np.nan if n.activation is None else n.activation for n in table.of(FEATURE)]),
        table.n_layers,
        [_target(node) for node in table.of(LOGIT)],
        _token_ids(table.of(EMBEDDING), n_tokens),
        edges,
        prompt=metadata.prompt,
        tokens=metadata.prompt_tokens,
        model=metadata.model or metadata.scan,
        basis=metadata.features or metadata.scan,
        n_active=None,
        imported={
            "format": "neuronpedia",
            "slug": metadata.slug,
            "scan": metadata.scan,
            "licence": metadata.licence,
            "notice": metadata.notice,
            "node_threshold": metadata.node_threshold,
            "edge_threshold": metadata.pruning_settings.edge_threshold if metadata.pruning_settings else None,
        },
    )
    rows = place[table.number]
    ids = {name: graph.ids[rows[entries[0]]] for name, entries in where.items()}
    pins, supernodes = _shown(file, ids, ignored)
    labelled = [(i, node) for i, node in zip(rows, table.nodes, strict=True) if node.feature_type != LOGIT]
    scores = np.full(graph.layout.n_nodes, np.nan)
    scores[rows] = [np.nan if n.influence is None else n.influence for n in table.nodes]
    return graph, Report(
        feature_numbers=dialect,
        error_ids=_error_ids(table),
        ignored={what: count for what, count in ignored.items() if count},
        pins=pins,
        supernodes=supernodes,
        labels={graph.ids[i]: node.clerp for i, node in labelled if node.clerp},
        cumulative_scores=scores,
    )


def _shown(file: File, ids: dict[str, str], ignored: Counter[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Pins and supernodes, of the nodes that are there."""
    pinned = file.qParams.pinnedIds
    pins = [pin for pin in pinned.split(",") if pin] if isinstance(pinned, str) else pinned
    groups = [group for group in file.qParams.supernodes if group]
    ignored["supernodes without a name"] = len(file.qParams.supernodes) - len(groups)
    named = [*pins, *(member for _, *members in groups for member in members)]
    ignored["pins and members that are not there"] = sum(name not in ids for name in named)
    supernodes = [(label, [ids[name] for name in members if name in ids]) for label, *members in groups]
    return [ids[pin] for pin in pins if pin in ids], supernodes


def _table(nodes: list[Node], n_tokens: int, limits: Limits) -> Table:
    kind = np.array([node.feature_type for node in nodes], dtype=object)
    layer = np.array([_layer(node) for node in nodes], dtype=np.int64)
    position = np.array([node.ctx_idx for node in nodes], dtype=np.int64)
    features, errors, embeddings, logits = (np.flatnonzero(kind == k) for k in (FEATURE, ERROR, EMBEDDING, LOGIT))
    if (position >= n_tokens).any() or (position[logits] != n_tokens - 1).any():
        raise TracerError(f"a node lies outside the prompt's {n_tokens:,} tokens, or a logit not at its last one")
    # circuit-tracer puts logits at L + 1
    n_layers = int(max([*(layer[kind == FEATURE] + 1), *(layer[kind == ERROR] + 1), *(layer[logits] - 1)], default=0))
    check_size(len(features), n_layers, n_tokens, len(logits), limits)
    layer[logits] = n_layers
    number = np.empty(len(nodes), dtype=np.int64)
    number[features] = np.arange(len(features))
    number[errors] = len(features) + layer[errors] * n_tokens + position[errors]
    number[embeddings] = len(features) + n_layers * n_tokens + position[embeddings]
    number[logits] = len(features) + (n_layers + 1) * n_tokens + np.arange(len(logits))
    if len(np.unique(number)) < len(number):
        raise TracerError("two error or embedding nodes stand at the same layer and token")
    return Table(nodes, kind, layer, position, number, n_layers)


def _layer(node: Node) -> int:
    if node.feature_type == EMBEDDING:
        return -1
    text = str(node.layer)
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise TracerError(f"node {quoted(node.node_id)} is at layer {quoted(text)}; a layer is a number")
    return int(text)


def _by_id(table: Table) -> dict[str, list[int]]:
    """The nodes of each id: one, or a feature and then an error, which circuit-tracer called alike."""
    where: dict[str, list[int]] = {}
    for i, node in enumerate(table.nodes):
        where.setdefault(node.node_id, []).append(i)
    for name, rows in where.items():
        rows.sort(key=lambda i: table.nodes[i].feature_type != FEATURE)
        if len(rows) > 1 and [table.nodes[i].feature_type for i in rows] != [FEATURE, ERROR]:
            raise TracerError(f"two nodes are called {quoted(name)}")
    return where


def _edges(file: File, table: Table, where: dict[str, list[int]], ignored: Counter[str]) -> Edges:
    there = [link for link in file.links if link.source in where and link.target in where]
    ignored["links to nodes that are not there"] = len(file.links) - len(there)
    targets = np.array([where[link.target][0] for link in there], dtype=np.int64)
    sources = np.array([where[link.source][0] for link in there], dtype=np.int64)
    others = np.array([where[link.source][-1] for link in there], dtype=np.int64)
    settled = settle(targets, sources, np.where(others == sources, -1, others), table.layer)
    clear = settled >= 0
    ignored["links from an id that two nodes share"] = int((~clear).sum())
    weights = np.array([link.weight for link in there], dtype=np.float64)
    return Edges(table.number[targets[clear]], table.number[settled[clear]], weights[clear])


def _target(node: Node) -> Target:
    """Its weight is `token_prob`, else the `(p=…)` of its label; where they differ, the label is its probability."""
    said = re.search(r"\(p=(\d*\.?\d+)\)", node.clerp, re.ASCII)
    token = re.sub(r'^Output "(.*)"$', r"\1", node.clerp[: said.start()].rstrip() if said else node.clerp, flags=re.S)
    weight = node.token_prob if node.token_prob is not None else float(said[1]) if said else None
    if weight is None or node.feature is None or node.feature < 0:
        raise TracerError(f"logit {quoted(node.node_id)} says no token or no probability")
    if node.feature >= VIRTUAL_ID:
        return Target(token, None, None, weight, None)
    probability = float(said[1]) if said and abs(float(said[1]) - weight) > 6e-4 else weight
    return Target(token or str(node.feature), node.feature, probability, weight, None)


def _token_ids(embeddings: Sequence[Node], n_tokens: int) -> list[int]:
    """From the ids of the embedding nodes, `E_token_position`; −1 where there is none."""
    ids = [-1] * n_tokens
    for node in embeddings:
        match = re.fullmatch(r"E_(\d{1,9})_\d+", node.node_id, re.ASCII)
        ids[node.ctx_idx] = int(match[1]) if match else -1
    return ids


def _error_ids(table: Table) -> str | None:
    """The way in which all errors are called, or 'other'."""
    errors = [(table.nodes[i], table.layer[i]) for i in np.flatnonzero(table.kind == ERROR)]
    ways = {
        "0_layer_position": [node.node_id == f"0_{layer}_{node.ctx_idx}" for node, layer in errors],
        "layer_-1_position": [node.node_id == f"{layer}_-1_{node.ctx_idx}" for node, layer in errors],
    }
    return next((way for way, fits in ways.items() if all(fits)), "other") if errors else None
