"""circuit-tracer's `.pt`: the whole graph as a dict of tensors (study/circuit-tracer.md §4), bias nodes left out.

The format knows no token texts: the prompt's tokens come back as #id, except those that are targets too. What it wants
to know of the model, beyond its number of layers and its name, no graph of ours says.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tracer.errors import TracerError
from tracer.graph.file import Target
from tracer.graph.graph import Graph
from tracer.interchange import pickles
from tracer.interchange.files import reading, writing
from tracer.interchange.foreign import Edges, Report, check_edges, check_size, foreign_graph
from tracer.interchange.limits import DEFAULT, Limits
from tracer.interchange.naming import VIRTUAL_ID, public_name, scan_of, vocabulary_id
from tracer.interchange.pickles import LogitTarget, UnifiedConfig, unreadable
from tracer.presets import PRESETS

MAX_NODES = 20_000
"""The format holds every pair of nodes: 1.6 GB at this many."""

FIELDS = (
    "input_string",
    "adjacency_matrix",
    "cfg",
    "active_features",
    "logit_targets",
    "logit_probabilities",
    "vocab_size",
    "input_tokens",
    "selected_features",
    "activation_values",
    "scan",
)
OTHER_NAMES = {"scan_name": "scan", "logit_tokens": "logit_targets"}  # of later and of older versions


def save(graph: Graph, path: str | Path, *, scan: str | None = None, notice: str | None = None) -> None:
    """Write the whole graph. Raises TracerError for one of more than MAX_NODES nodes, or if it can't be written.

    `notice` says where it comes from and under which terms: a text file beside the tensors, which readers pass over.
    """
    layout, n = graph.layout, graph.layout.first_bias
    if n > MAX_NODES:
        raise TracerError(
            f"the graph has {n:,} nodes and this format holds every pair of them: {4e-9 * n * n:.0f} GB;"
            f" trace with fewer nodes (at most {MAX_NODES:,} in all), or export the pruned graph to neuronpedia"
        )
    model = graph.meta["model"]
    name = public_name(model)
    active, activation, selected = graph.active()
    parts = {
        "input_string": graph.meta["prompt"],
        "adjacency_matrix": torch.from_numpy(graph.adjacency[:n, :n].toarray()),
        "cfg": UnifiedConfig(
            n_layers=layout.n_layers,
            model_name=name,
            tokenizer_name=PRESETS[model].hub_id if model in PRESETS else name,
        ),
        "active_features": torch.from_numpy(active),
        "logit_targets": [LogitTarget(t.token, vocabulary_id(t, k)) for k, t in enumerate(graph.targets)],
        "logit_probabilities": torch.tensor(graph.weights, dtype=torch.float32),
        "vocab_size": VIRTUAL_ID,  # whatever is below is a token
        "input_tokens": torch.tensor(graph.token_ids),
        "selected_features": torch.from_numpy(selected),
        "activation_values": torch.from_numpy(activation),
        "scan": scan or scan_of(graph),
    }
    with writing(path) as file:
        pickles.save(parts, file, notice)


def load(path: str | Path, limits: Limits = DEFAULT) -> tuple[Graph, Report]:
    """The graph of a `.pt`, of today's layout or the older ones. Raises TracerError for what is no whole graph."""
    with reading(path, limits.pt_bytes) as file:
        parts = pickles.load(file)
    parts = {OTHER_NAMES.get(name, name) if isinstance(name, str) else name: part for name, part in parts.items()}
    cfg = parts.get("cfg")
    known = vars(cfg) if type(cfg) is UnifiedConfig else {}
    n_layers = known.get("n_layers")
    if type(n_layers) is not int:
        raise unreadable("it doesn't say how many layers the model has")
    active, selected = _tensor(parts, "active_features", 2, int), _tensor(parts, "selected_features", 1, int)
    values, tokens = _tensor(parts, "activation_values", 1, float), _tensor(parts, "input_tokens", 1, int)
    weights, matrix = _tensor(parts, "logit_probabilities", 1, float), _tensor(parts, "adjacency_matrix", 2, float)
    check_size(len(selected), n_layers, len(tokens), len(weights), limits)
    n = len(selected) + (n_layers + 1) * len(tokens) + len(weights)
    if active.shape != (len(values), 3) or matrix.shape != (n, n):
        raise unreadable("its tensors don't fit together")
    if len(selected) and not 0 <= selected.min() <= selected.max() < len(active):
        raise unreadable("a selected feature is not among the active ones")
    vocabulary = known.get("d_vocab")
    targets = _targets(parts, weights, vocabulary if type(vocabulary) is int else VIRTUAL_ID)
    texts = {t.id: t.token for t in targets}
    rows, columns = np.nonzero(matrix)
    check_edges(len(rows), limits)
    scan = parts.get("scan")
    scans = [_text(name) for name in (scan if type(scan) is list else [] if scan is None else [scan])]
    model = known.get("model_name")
    graph, _ = foreign_graph(
        active[selected],
        values[selected],
        n_layers,
        targets,
        tokens.tolist(),
        Edges(rows, columns, matrix[rows, columns]),
        prompt=_text(parts.get("input_string")),
        tokens=[texts.get(i, f"#{i}") for i in tokens.tolist()],
        model="unknown" if model is None else _text(model),
        basis=", ".join(scans) or "unknown",
        n_active=len(active),
        imported={"format": "circuit-tracer", "scan": scans},
    )
    ignored = {
        "active features that were not selected": len(active) - len(selected),
        "unknown fields": len(set(parts) - set(FIELDS)),
    }
    return graph, Report(ignored={what: count for what, count in ignored.items() if count})


def _tensor(parts: dict[Any, Any], name: str, dimensions: int, kind: type) -> np.ndarray:
    """As int64 or float32. One that shows the same numbers again and again is refused: it would grow as it is read."""
    tensor: Any = parts.get(name)
    if type(tensor) is not torch.Tensor or tensor.layout is not torch.strided or tensor.dim() != dimensions:
        raise unreadable(f"{name} is no tensor of {dimensions} dimensions")
    if tensor.is_floating_point() != (kind is float) or tensor.is_complex():
        raise unreadable(f"{name} has numbers of another kind")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise unreadable(f"{name} is larger than what is stored of it")
    return tensor.detach().to(torch.float32 if kind is float else torch.int64).numpy()


def _targets(parts: dict[Any, Any], weights: np.ndarray, vocabulary: int) -> list[Target]:
    """Targets that are no tokens have numbers from the vocabulary's size on; older files have the ids alone."""
    found = parts.get("logit_targets")
    if isinstance(found, torch.Tensor):
        found = [LogitTarget("", i) for i in _tensor(parts, "logit_targets", 1, int).tolist()]
    if type(found) is not list or len(found) != len(weights):
        raise unreadable("it has not one probability a target")
    targets = []
    for target, weight in zip(found, weights.tolist(), strict=True):
        if type(target) is not LogitTarget or type(target.vocab_idx) is not int or target.vocab_idx < 0:
            raise unreadable("a target is no token")
        is_token = target.vocab_idx < vocabulary
        token = _text(target.token_str) or f"#{target.vocab_idx}"
        targets.append(
            Target(token, target.vocab_idx if is_token else None, weight if is_token else None, weight, None)
        )
    return targets


def _text(text: Any) -> str:
    if type(text) is not str or re.search("[\ud800-\udfff]", text):  # half of a character: nothing could print it
        raise unreadable("a name or text in it is none")
    return text
