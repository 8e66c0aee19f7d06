"""How fast a trace is, how its time grows, and how much memory it takes, on this machine.

    python benchmarks/trace.py            every table but the last, some minutes
    python benchmarks/trace.py --worst    also the longest prompt allowed, some minutes more
    python benchmarks/trace.py --quick    small sizes, once: does the script run?

A share of the machine's rate and an exponent are ratios within one run; seconds are those of this machine. Run it on a
machine that does nothing else: the load is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import numpy as np
import torch

import tracer
from benchmarks.measure import MATRIX_ROWS, PeakMemory, best, print_machine, table, title, turns
from tracer import ReplacementModel
from tracer.attribution.cost import sweep_operations
from tracer.attribution.selection import largest, n_candidates, total_attribution
from tracer.attribution.sweep import Sweep, first_position, make_layout
from tracer.errors import silent
from ui.graph_payload import graph_view, unpruned

PROMPT = "Michael Jordan plays the sport of"
REPEATS = 5
TOKENS = (8, 16, 32, 64)
TOKENS_NODES = 2000  # asked for; the sweep takes all candidates of the first stage
NODES = (1000, 2000, 4000)
PRUNE_NODES = 5000
THRESHOLDS = (
    (0.5, 0.9),
    (0.8, 0.98),
    (0.95, 0.99),
    (0.98, 0.995),
    (1.0, 0.5),
    (1.0, 0.9),
    (1.0, 0.98),
    (1.0, 0.999),
    (1.0, 1.0),
)  # shares of nodes and edges
WORST = (512, 500)  # tokens, nodes
QUICK_TOKENS, QUICK_NODES, QUICK_WORST = (4, 8), (10, 20), (12, 10)
TEXT = (
    "The old lighthouse stood at the end of a long stone pier, and every evening its keeper climbed the narrow stairs"
    " with a lamp in one hand and a notebook in the other. He wrote down the weather, the ships that passed, and"
    " whatever the gulls had stolen from the fishing boats that day. In the winter the sea froze near the shore, and"
    " the harbour fell so quiet that he could hear the bells of the church across the bay. "
)  # repeated until it is long enough


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure speed and memory of a trace.")
    parser.add_argument("--model", default="gemma-3-270m", help="preset, folder or Hub id")
    parser.add_argument("--store", type=Path, help="folder of converted weights (default: the tracer's own)")
    parser.add_argument("--worst", action="store_true", help="also the longest prompt allowed")
    parser.add_argument("--quick", action="store_true", help="small sizes, once")
    parser.add_argument("--memory", nargs=2, type=int, metavar=("TOKENS", "NODES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    model = tracer.load(arguments.model, store=arguments.store)
    if arguments.memory:  # this is the fresh process that `memory_table` starts
        print(json.dumps(peak_memory(model, *arguments.memory)))
        return
    tokens, nodes, worst = (QUICK_TOKENS, QUICK_NODES, QUICK_WORST) if arguments.quick else (TOKENS, NODES, WORST)
    repeats = 1 if arguments.quick else REPEATS
    few = min(repeats, 2)
    print_machine(arguments.model)
    print_default(model, repeats)
    print_token_growth(model, tokens, max(nodes) if arguments.quick else TOKENS_NODES, few)
    print_node_growth(model, nodes, few)
    print_pruning(model, max(nodes) if arguments.quick else PRUNE_NODES, repeats)
    print_rate(model, tokens[-1], repeats)
    print_memory(
        arguments, [(worst[0], worst[1])] if arguments.quick else [(t, TOKENS_NODES) for t in (tokens[0], tokens[-1])]
    )
    if arguments.worst or arguments.quick:
        print_worst(model, *worst)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def text_ids(model: ReplacementModel, n_tokens: int) -> list[int]:
    ids = model.token_ids(TEXT)
    while len(ids) < n_tokens:
        ids += model.token_ids(TEXT)[len(model.excluded_positions(ids)) :]
    return ids[:n_tokens]


def print_default(model: ReplacementModel, repeats: int) -> None:
    """Seconds of each phase of the default trace, after one that warms up."""
    title(f"Default trace: {PROMPT!r}, auto nodes, {repeats} runs after a warm-up; seconds")
    runs = []
    for _ in range(repeats + 1):
        graph = model.trace(PROMPT)
        begin = time.perf_counter()
        graph.prune()
        seconds = graph.meta["seconds"] | {"prune": time.perf_counter() - begin}
        runs.append(seconds | {"total": sum(seconds.values())})
    table("phase", "median", "worst")
    for phase in runs[0]:
        values = [run[phase] for run in runs[1:]]
        table(phase, f"{np.median(values):.3f}", f"{max(values):.3f}")


def print_token_growth(model: ReplacementModel, sizes: tuple[int, ...], nodes: int, repeats: int) -> None:
    title(f"Growth with tokens: whole trace of one text, cut; {nodes:,} nodes asked for; best of {repeats}")
    table("tokens", "nodes swept", "seconds", "GFLOP")
    totals = []
    for n in sizes:
        graphs = [model.trace(tokens=text_ids(model, n), max_nodes=nodes) for _ in range(repeats)]
        totals.append(min(sum(graph.meta["seconds"].values()) for graph in graphs))
        operations = graphs[0].meta["sweep_operations"]
        table(n, f"{n_candidates(nodes):,}", f"{totals[-1]:.2f}", f"{operations / 1e9:,.0f}")
    print(f"time ~ tokens^{exponent(sizes, totals):.2f}   (budget 1.3)")


def print_node_growth(model: ReplacementModel, sizes: tuple[int, ...], repeats: int) -> None:
    title(f"Growth with nodes: the sweep alone, default prompt; best of {repeats}")
    table("nodes swept", "seconds", "GFLOP")
    counts, seconds = [], []
    for n in sizes:
        run = prepared(model, model.token_ids(PROMPT), n)
        counts.append(len(run["features"]))
        seconds.append(best(lambda run=run: sweep(run), repeats))
        table(f"{counts[-1]:,}", f"{seconds[-1]:.3f}", f"{operations_of(model, run) / 1e9:,.0f}")
    print(f"time ~ nodes^{exponent(counts, seconds):.2f}   (budget 1.1)")


def print_pruning(model: ReplacementModel, nodes: int, repeats: int) -> None:
    """What a slider costs: the whole graph's influence is known by then."""
    graph = model.trace(PROMPT, max_nodes=nodes)
    unpruned("benchmark", graph)
    graph.prune()
    edges = graph.adjacency.nnz
    title(f"Pruning again: {graph.layout.first_bias:,} nodes, {edges:,} edges; best of {repeats}; seconds")
    print("page: pruning, the scores of what is kept, and what the canvas draws (at most 10,000 edges)")
    table("node share", "edge share", "nodes kept", "edges kept", "pruning", "page")
    for thresholds in THRESHOLDS:
        seconds = best(lambda thresholds=thresholds: graph.prune(*thresholds), repeats)
        page = best(lambda thresholds=thresholds: view_anew(graph, thresholds), repeats)
        pruned = graph.prune(*thresholds)
        kept = f"{pruned.node_mask.sum():,}", f"{pruned.kept.nnz:,}"
        table(*thresholds, *kept, f"{seconds:.3f}", f"{page:.3f}")


def view_anew(graph: tracer.Graph, thresholds: tuple[float, float]) -> None:
    graph_view.clear()
    graph_view("benchmark", graph, *thresholds)


def print_rate(model: ReplacementModel, n_tokens: int, repeats: int) -> None:
    title(f"Share of the machine's matrix-product rate: the sweep alone, median of {repeats} turns, GFLOP a second")
    print(
        "Operations of the sweep (tracer.attribution.cost), a multiply-add counted as two. For each target at layer l\n"
        "and position P, and each attention from l down to 0: 2·D·H·d + 2·G·d·D a position ≤ P (W_O, W_V) and 2·H·d a\n"
        "pair of query and key; and 2·D for each feature, error and embedding that it can see. Position 0 is left out\n"
        f"where no gradient goes there. The machine's rate: torch.matmul of {MATRIX_ROWS} rows with W_O and with W_V,\n"
        "as many operations before and after each sweep."
    )
    table("tokens", "nodes swept", "sweep", "products", "share")
    for ids, count in ((model.token_ids(PROMPT), repeats), (text_ids(model, n_tokens), min(repeats, 3))):
        run = prepared(model, ids, n_candidates(TOKENS_NODES))
        done = turns(model.anatomy, operations_of(model, run), lambda run=run: best(lambda: sweep(run), 1), count)
        middle = done[len(done) // 2]
        rates = f"{middle.rate / 1e9:.1f}", f"{middle.products / 1e9:.1f}"
        table(len(ids), f"{len(run['features']):,}", *rates, f"{middle.share:.0%}")


def print_memory(arguments: argparse.Namespace, sizes: list[tuple[int, int]]) -> None:
    title("Peak memory of a trace, each in a fresh process: resident MB, sampled every 5 ms")
    table("tokens", "nodes", "loaded", "peak", "trace")
    for n_tokens, nodes in sizes:
        command = [sys.executable, __file__, "--model", arguments.model, "--memory", str(n_tokens), str(nodes)]
        command += ["--store", str(arguments.store)] if arguments.store else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        loaded, peak = json.loads(done.stdout.splitlines()[-1])
        table(n_tokens, f"{nodes:,}", *(f"{size / 1e6:,.0f}" for size in (loaded, peak, peak - loaded)))


def print_worst(model: ReplacementModel, n_tokens: int, nodes: int) -> None:
    title("The longest prompt, once")
    with PeakMemory() as memory:
        graph = model.trace(tokens=text_ids(model, n_tokens), max_nodes=nodes)
    seconds, operations = graph.meta["seconds"], graph.meta["sweep_operations"]
    table("tokens", "nodes", "seconds", "GFLOP", "GFLOP/s", "trace MB", "row error")
    table(
        n_tokens,
        f"{nodes:,}",
        f"{sum(seconds.values()):.1f}",
        f"{operations / 1e9:,.0f}",
        f"{operations / seconds['sweep'] / 1e9:.1f}",
        f"{(memory.peak - memory.loaded) / 1e6:,.0f}",
        f"{graph.row_error:.1e}",
    )


def peak_memory(model: ReplacementModel, n_tokens: int, nodes: int) -> tuple[int, int]:
    """Resident bytes of the loaded model, and the most while tracing."""
    with PeakMemory() as memory:
        model.trace(tokens=text_ids(model, n_tokens), max_nodes=nodes)
    return memory.loaded, memory.peak


@torch.no_grad()
def prepared(model: ReplacementModel, ids: list[int], n_features: int) -> dict[str, Any]:
    """What `Sweep` takes, with the n_features of largest total attribution."""
    record, excluded = model.record(ids), model.excluded_positions(ids)
    encoding = model.basis.encode(record, excluded)
    targets = model.resolve_targets(record, None)
    scores = total_attribution(model.anatomy, record, encoding, targets, silent)
    return {
        "anatomy": model.anatomy,
        "record": record,
        "encoding": encoding,
        "features": largest(scores, n_features),
        "targets": targets,
        "excluded": excluded,
    }


def sweep(run: dict[str, Any]) -> None:
    Sweep(**run).all_rows(silent)


def operations_of(model: ReplacementModel, run: dict[str, Any]) -> float:
    n_tokens = run["record"].n_tokens
    layout = make_layout(run["features"], model.n_layers, n_tokens, len(run["targets"]))
    return sweep_operations(model.anatomy, layout, first_position(run["excluded"], n_tokens))


def exponent(sizes: Any, seconds: Any) -> float:
    """k in seconds ~ sizes^k, by least squares on the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


if __name__ == "__main__":
    main()
