"""`python -m tracer export`: a saved graph in the format of another program."""

import argparse
import re
from pathlib import Path

from tracer import Graph
from tracer.interchange import circuit_tracer, neuronpedia
from tracer.presets import licence_of, notice_of

ONLY_JSON = ("node_threshold", "edge_threshold", "slug", "source_set")


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("export", help="write a graph for Neuronpedia or circuit-tracer")
    parser.add_argument("graph", type=Path, metavar="GRAPH", help="a graph saved by trace --graph")
    parser.add_argument("out", type=Path, metavar="OUT", help="the file to write")
    parser.add_argument(
        "--to",
        required=True,
        choices=("neuronpedia", "circuit-tracer"),
        help="neuronpedia: the pruned graph as JSON, for circuit-tracer's frontend too; circuit-tracer: all, as .pt",
    )
    parser.add_argument("--scan", help="what numbers the features (default: the feature set; for neurons, the model)")
    parser.add_argument("--node-threshold", type=float, help="JSON: share of influence to keep (default 0.8)")
    parser.add_argument("--edge-threshold", type=float, help="JSON: share of edge scores to keep (default 0.98)")
    parser.add_argument("--slug", help="JSON: the graph's name on the page (default: from OUT)")
    parser.add_argument("--source-set", help="JSON: Neuronpedia's name of the feature set, if it knows it")
    parser.set_defaults(parser=parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    given = {name: getattr(arguments, name) for name in ONLY_JSON if getattr(arguments, name) is not None}
    if arguments.to == "circuit-tracer" and given:
        arguments.parser.error(f"--{next(iter(given)).replace('_', '-')} is for --to neuronpedia; a .pt holds it all")
    graph = Graph.load(arguments.graph)
    if arguments.to == "circuit-tracer":
        circuit_tracer.save(graph, arguments.out, scan=arguments.scan, notice=notice_of(graph.meta))
    else:
        slug = given.pop("slug", re.sub(r"[^A-Za-z0-9_-]+", "-", arguments.out.stem).strip("-") or "graph")
        licence, notice = licence_of(graph.meta), notice_of(graph.meta)
        neuronpedia.save(graph, arguments.out, slug, scan=arguments.scan, licence=licence, notice=notice, **given)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:,.1f} MB")
