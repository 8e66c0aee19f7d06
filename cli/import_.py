"""`python -m tracer import`: a graph of another program, what is in it, and what of the file was left out."""

import argparse
import json
from pathlib import Path
from typing import Any

from tracer import Graph, TracerError
from tracer.interchange import Report, load


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("import", help="read a graph of Neuronpedia or circuit-tracer")
    parser.add_argument("file", metavar="FILE", help="the frontend's JSON, or circuit-tracer's .pt")
    parser.add_argument("--graph", type=Path, metavar="OUT.safetensors", help="save the graph")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def run(arguments: argparse.Namespace) -> None:
    if "://" in arguments.file:
        raise TracerError("a graph can't be imported from an address yet: download the file and give its path")
    graph, report = load(arguments.file)
    if arguments.graph:
        graph.save(arguments.graph)
    result = describe(graph, report)
    print(json.dumps(result, indent=2, ensure_ascii=False) if arguments.json else _report(result))


def describe(graph: Graph, report: Report) -> dict[str, Any]:
    scores = graph.scores()
    return {
        "format": graph.meta["imported"]["format"],
        "prompt": graph.meta["prompt"],
        "tokens": graph.tokens,
        "token_ids": graph.token_ids,
        "model": graph.meta["model"],
        "features": graph.meta["features"],
        "targets": [{"token": t.token, "id": t.id, "probability": t.probability} for t in graph.targets],
        "n_active": graph.meta["n_active"],
        "n_selected": graph.layout.n_features,
        "n_edges": graph.adjacency.nnz,
        "replacement_score": scores.replacement,
        "completeness_score": scores.completeness,
        "row_error": None,  # without bias nodes, unknown
        "node_threshold": graph.meta["imported"].get("node_threshold"),
        "edge_threshold": graph.meta["imported"].get("edge_threshold"),
        "feature_numbers": report.feature_numbers,
        "error_ids": report.error_ids,
        "ignored": report.ignored,
        "pins": report.pins,
        "supernodes": [[label, *members] for label, members in report.supernodes],
        "labels": report.labels,
    }


def _report(result: dict[str, Any]) -> str:
    """Names from the file only as Python writes them: nothing in them can steer a terminal."""
    pruned = "whole" if result["node_threshold"] is None else f"pruned at {result['node_threshold']:g}"
    targets = [target["token"] for target in result["targets"]]
    lines = [
        f"{result['format']}, {pruned}: model {result['model']!r}, features {result['features']!r}",
        f"prompt {result['prompt']!r}, explains {', '.join(map(repr, targets))}",
        f"{len(result['tokens']):,} tokens, {result['n_selected']:,} features, {result['n_edges']:,} edges",
        f"replacement {result['replacement_score']:.3f}  completeness {result['completeness_score']:.3f}"
        "  row errors unknown (no bias nodes)",
        f"{len(result['pins']):,} pins, {len(result['supernodes']):,} supernodes, {len(result['labels']):,} labels",
    ]
    if result["feature_numbers"]:
        lines.append(f"feature numbers: {result['feature_numbers']}; error ids: {result['error_ids']}")
    lines += [f"ignored: {count:,} {what}" for what, count in result["ignored"].items()]
    return "\n".join(lines)
