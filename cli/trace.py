"""`python -m tracer trace`: one prompt, its attribution graph, from the cache when it is there."""

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import tracer
from cache import GraphCache, graph_key
from cli import common
from service import Settings
from tracer import Difference, Graph, TracerError
from tracer.attribution.settings import check_settings, cut
from tracer.graph.prune import Pruned


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("trace", help="trace the attribution graph of a prompt")
    common.add_request(parser, "explained")
    parser.add_argument(
        "--target", action="append", type=common.token, help="token to explain, text or id; can be repeated"
    )
    parser.add_argument("--minus", type=common.token, help="explain the difference to this token; needs one --target")
    parser.add_argument("--position", type=int, help="explain the prediction after this token (default: the last)")
    common.add_trace_options(parser)
    parser.add_argument("--node-threshold", type=float, default=0.8, help="share of influence to keep (default 0.8)")
    parser.add_argument(
        "--edge-threshold", type=float, default=0.98, help="share of edge scores to keep (default 0.98)"
    )
    parser.add_argument("--graph", type=Path, metavar="OUT.safetensors", help="save the graph")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(parser=parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    if arguments.minus is not None and (arguments.target is None or len(arguments.target) != 1):
        arguments.parser.error("--minus needs exactly one --target")
    common.check_request(arguments)
    check_settings(arguments.max_logits, arguments.logit_mass, arguments.max_nodes)
    for name in ("node_threshold", "edge_threshold"):
        if not 0 < getattr(arguments, name) <= 1:
            raise TracerError(f"--{name.replace('_', '-')} must be above 0 and at most 1")
    settings = Settings.from_env()
    store = GraphCache(settings.cache / "graphs", int(settings.cache_gb * 1e9))
    begin = time.perf_counter()
    model = common.load(arguments, settings)
    loaded = time.perf_counter()
    graph, hit = _graph(arguments, model, store, settings)
    traced = time.perf_counter()
    pruned = graph.prune(arguments.node_threshold, arguments.edge_threshold)
    scores = graph.scores()
    done = time.perf_counter()
    common.clear()
    if arguments.graph:
        graph.save(arguments.graph)
    seconds = {"load": loaded - begin}
    seconds |= {phase: 0.0 if hit else graph.meta["seconds"][phase] for phase in ("record", "select", "sweep")}
    seconds |= {"prune": done - traced, "total": done - begin}
    result = {
        "prompt": graph.meta["prompt"] if arguments.prompt is None else arguments.prompt,
        "tokens": graph.tokens,
        "token_ids": graph.token_ids,
        "model": model.name,
        "features": graph.meta["features"],
        "targets": [{"token": t.token, "id": t.id, "probability": t.probability} for t in graph.targets],
        "n_active": graph.meta["n_active"],
        "n_selected": graph.layout.n_features,
        "n_nodes": int(pruned.node_mask.sum()),
        "n_edges": pruned.kept.nnz,
        "replacement_score": scores.replacement,
        "completeness_score": scores.completeness,
        "strict_replacement_score": scores.strict_replacement,
        "strict_completeness_score": scores.strict_completeness,
        "row_error": graph.row_error,
        "cache": "hit" if hit else "miss",
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "peak_rss_mb": _peak_rss_mb(),
    }
    print(json.dumps(result, indent=2, ensure_ascii=False) if arguments.json else _report(result, graph, pruned))


def _graph(
    arguments: argparse.Namespace, model: tracer.ReplacementModel, store: GraphCache, settings: Settings
) -> tuple[Graph, bool]:
    """The graph asked for, and whether the cache had it."""
    ids = common.token_ids(arguments, model, settings)
    if ids:
        ids = ids[: cut(arguments.position, len(ids))]
    targets: Any = None
    if arguments.target is not None:
        targets = [model.token_id(t) for t in arguments.target]
        if arguments.minus is not None:
            targets = Difference(targets[0], model.token_id(arguments.minus))
    options = {
        "max_logits": arguments.max_logits,
        "logit_mass": arguments.logit_mass,
        "max_nodes": arguments.max_nodes,
    }
    key = graph_key(
        model_fingerprint=model.model_fingerprint,
        basis_fingerprint=model.basis_fingerprint,
        token_ids=ids,
        targets=targets,
        position=None,
        **options,
    )
    graph = store.get(key)
    if graph is not None:
        return graph, True
    graph = model.trace(tokens=ids, targets=targets, progress=common.show, **options)
    store.put(key, graph)
    return graph, False


def _report(result: dict[str, Any], graph: Graph, pruned: Pruned) -> str:
    lines = [f"{result['model']}, {result['features']}: {' '.join(repr(t) for t in result['tokens'])}", "", "explains"]
    for target in result["targets"]:
        shown = "" if target["probability"] is None else f"  {target['probability']:.3f}"
        lines.append(f"  {target['token']!r:24}{shown}")
    lines += ["", f"most influential of {result['n_selected']:,} features ({result['n_active']:,} active)"]
    nodes = graph.nodes
    for _, node in nodes[nodes.kind == "feature"].nlargest(10, "influence").iterrows():
        token = result["tokens"][node.position]
        lines.append(
            f"  layer {node.layer:>2}  feature {node.feature:>6}  at {token!r:16} activation {node.activation:>9.2f}"
            f"  influence {node.influence:.3f}"
        )
    lines += [
        "",
        f"pruned to {result['n_nodes']:,} nodes and {result['n_edges']:,} edges",
        f"replacement {result['replacement_score']:.3f}  completeness {result['completeness_score']:.3f}"
        f"  worst row error {result['row_error']:.1e}",
        f"cache {result['cache']}, {result['seconds']['total']:.1f} s, peak memory {result['peak_rss_mb']:,} MB",
    ]
    return "\n".join(lines)


def _peak_rss_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB on Linux, bytes on macOS
    return peak // (1_000_000 if sys.platform == "darwin" else 1_000)
