"""Time and memory of a trace against circuit-tracer's, on the same model, transcoders and prompt (`make peer`).

    python benchmarks/against_circuit_tracer.py            some minutes; needs .venv-peer, which `make peer` makes
    python benchmarks/against_circuit_tracer.py --quick    small sizes, ours alone where there is no .venv-peer

The transcoders are random, with ReLU, and of each layer's features just the 16 of largest pre-activation are active at
each position: one vector v is taken off all rows of an encoder, such that at each position p of this very prompt
v·x_p lies half-way between the 16th and the 17th largest. Every measurement is a fresh process, ours and theirs in
turns; time is from token ids to the finished graph, memory is resident and sampled. Ours leaves the weights on the disk
(`offload`), which costs it some time; circuit-tracer's offloading moves modules between devices, and here is only one.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import tracer
from benchmarks.measure import PeakMemory, Turn, print_machine, table, title, turns
from tracer import ReplacementModel
from tracer.home import home
from tracer.model.packages import converted_folder
from tracer.model.prefix import Prefix
from tracer.presets import PRESETS

ROOT = Path(__file__).resolve().parent.parent
PROMPT = "The capital of the state containing Dallas is a city that many people like"  # 14 tokens, and a special one
SEED = 0
FEATURES, ACTIVE = 2304, 16  # of a layer; active at a position
NODES = (None, 2000)
ROUND = 1024  # features of one round of selection, in both
BATCHES = (128, 256, 512)  # of circuit-tracer; its best counts
BUDGETS = {None: (8, 3), 2000: (12, 3)}  # at most 1/8 of its time, 1/3 of its memory
RATE_TURNS = 3
QUICK_TOKENS, QUICK_FEATURES, QUICK_ACTIVE, QUICK_NODES, QUICK_BATCHES = 6, 40, 4, (None, 10), (16,)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a trace against circuit-tracer.")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="preset or folder of a Llama model")
    parser.add_argument("--store", type=Path, help="folder of converted weights (default: the tracer's own)")
    parser.add_argument("--peer", type=Path, default=ROOT / ".venv-peer", help="circuit-tracer's environment")
    parser.add_argument("--scratch", type=Path, default=ROOT / "benchmarks" / "scratch" / "peer")
    parser.add_argument("--quick", action="store_true", help="small sizes, once")
    parser.add_argument("--ours", help=argparse.SUPPRESS)  # this is a fresh process that `ours` starts
    arguments = parser.parse_args()
    if arguments.ours:
        print(json.dumps(measure_ours(json.loads(arguments.ours))))
        return
    peer = arguments.peer / "bin" / "python"
    if not peer.exists() and not arguments.quick:
        sys.exit(f"there is no circuit-tracer in {arguments.peer}; run: make peer")
    print_machine(arguments.model)
    job = prepare(arguments)
    for max_nodes in QUICK_NODES if arguments.quick else NODES:
        if peer.exists():
            compare_both(job | {"max_nodes": max_nodes}, peer, QUICK_BATCHES if arguments.quick else BATCHES)
        else:
            title(f"{heading(max_nodes)}: no circuit-tracer here (make peer), ours alone")
            print_ours([ours(job | {"max_nodes": max_nodes})])
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the transcoders, and say what both sides are to run."""
    model = tracer.load(arguments.model, store=arguments.store, device="cpu")
    ids = Prefix("circuit-tracer").ids(model.tokenizer, PROMPT)
    if arguments.quick:  # tiny models know no words, and equal tokens would give equal inputs
        ids = [ids[0], *range(10, 10 + QUICK_TOKENS)]
    n_features, n_active = (QUICK_FEATURES, QUICK_ACTIVE) if arguments.quick else (FEATURES, ACTIVE)
    folder = arguments.scratch / "transcoders"
    write_transcoders(model, ids, folder, n_features, n_active)
    preset, store = PRESETS.get(arguments.model), arguments.store or home() / "models"
    print(f"{len(ids)} tokens, {n_features:,} features a layer, {n_active} active at a position; seed {SEED}")
    return {
        "name": arguments.model,
        "store": str(store),
        "model": str(converted_folder(preset, store) if preset else Path(arguments.model)),
        "transcoders": str(folder),
        "tokens": ids,
        "round": ROUND,
        "turns": 1 if arguments.quick else RATE_TURNS,
        "out": str(arguments.scratch / "graph"),
    }


def write_transcoders(model: ReplacementModel, ids: list[int], folder: Path, n_features: int, n_active: int) -> None:
    """A set in circuit-tracer's layout; position 0, which has no features in either, is left out of the choice."""
    folder.mkdir(parents=True, exist_ok=True)
    hooks = "feature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    (folder / "config.yaml").write_text(f"model_kind: transcoder_set\nmodel_name: {model.name}\n{hooks}")
    generator = torch.Generator().manual_seed(SEED)
    d_model = model.anatomy.d_model
    for layer, inputs in enumerate(model.record(ids).mlp_input):
        encoder, decoder = (torch.randn(n_features, d_model, generator=generator) / d_model**0.5 for _ in range(2))
        x = inputs[1:].double()
        largest = (x @ encoder.double().T).topk(n_active + 1).values
        cut = largest[:, -2:].mean(1, keepdim=True)
        encoder -= torch.linalg.lstsq(x, cut, driver="gelsd").solution[:, 0].float()
        zeros = {"b_enc": torch.zeros(n_features), "b_dec": torch.zeros(d_model)}
        save_file({"W_enc": encoder, "W_dec": decoder} | zeros, folder / f"layer_{layer}.safetensors")


def compare_both(job: dict[str, Any], peer: Path, batches: tuple[int, ...]) -> None:
    title(heading(job["max_nodes"]))
    table("", "seconds", "peak MB", "loaded MB", "trace MB")
    our_runs, their_runs = [], []
    for batch in batches:
        our_runs.append(ours(job))
        print_run("ours", our_runs[-1])
        their_runs.append(theirs(job | {"batch_size": batch}, peer))
        print_run(f"batch {batch}", their_runs[-1])
    print_ours(our_runs)
    us, them = min(our_runs, key=seconds_of), min(their_runs, key=seconds_of)
    time_budget, memory_budget = BUDGETS.get(job["max_nodes"], BUDGETS[None])
    print(f"time: theirs is {them['seconds'] / us['seconds']:.1f} × ours (budget {time_budget})")
    peaks, traces = them["peak"] / us["peak"], trace_bytes(them) / trace_bytes(us)
    print(f"memory: theirs is {peaks:.1f} × ours (budget {memory_budget}), {traces:.0f} × over the loaded model")
    common, gap = largest_gap(tracer.Graph.load(us["graph"]).tensors(), load_file(them["graph"]))
    print(f"matrices: {common:,} features in both, largest gap {gap:.1e} of the largest entry")
    if not gap < 1e-4:
        sys.exit("the matrices do not agree")


def largest_gap(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> tuple[int, float]:
    """How many features have a row in both, and how far the edges among them and all other nodes are apart at most.

    Of the largest entry. Tensors by circuit-tracer's names; bias nodes, which only ours has, come last.
    """
    if ours["logit_token_ids"].tolist() != theirs["logit_token_ids"].tolist():
        raise ValueError("the graphs explain different logits")
    features = [
        [tuple(feature) for feature in graph["active_features"][graph["selected_features"]].tolist()]
        for graph in (ours, theirs)
    ]
    common = sorted(set(features[0]) & set(features[1]))
    n_others = len(theirs["adjacency_matrix"]) - len(features[1])
    blocks = []
    for graph, own in zip((ours, theirs), features, strict=True):
        place = {feature: i for i, feature in enumerate(own)}
        nodes = torch.tensor([place[f] for f in common] + list(range(len(own), len(own) + n_others)))
        blocks.append(graph["adjacency_matrix"][nodes][:, nodes])
    return len(common), float((blocks[0] - blocks[1]).abs().max() / blocks[1].abs().max())


def ours(job: dict[str, Any]) -> dict[str, Any]:
    return run([sys.executable, __file__, "--ours", json.dumps(job | {"out": job["out"] + ".ours.safetensors"})])


def theirs(job: dict[str, Any], peer: Path) -> dict[str, Any]:
    out = f"{job['out']}.{job['batch_size']}.safetensors"
    side = Path(__file__).with_name("circuit_tracer_side.py")
    return run([str(peer), str(side), json.dumps(job | {"out": out})]) | {"graph": out}


def run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    if done.returncode != 0:
        sys.exit(f"{command[1]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure_ours(job: dict[str, Any]) -> dict[str, Any]:
    """One trace as circuit-tracer's, then a few more that take turns with bare matrix products."""
    model = tracer.load(job["name"], features=job["transcoders"], store=Path(job["store"]), device="cpu", offload=True)

    def trace() -> tracer.Graph:
        return model.trace(tokens=job["tokens"], max_nodes=job["max_nodes"], rerank_every=job["round"])

    with PeakMemory() as memory:
        begin = time.perf_counter()
        graph = trace()
        seconds = time.perf_counter() - begin
    graph.save(job["out"])
    operations = graph.meta["sweep_operations"]
    done = turns(model.anatomy, operations, lambda: trace().meta["seconds"]["sweep"], job["turns"])
    return {
        "seconds": seconds,
        "loaded": memory.loaded,
        "peak": memory.peak,
        "graph": job["out"],
        "n_active": graph.meta["n_active"],
        "operations": operations,
        "turns": [asdict(turn) for turn in done],
        "row_error": float(graph.row_error),
    }


def heading(max_nodes: int | None) -> str:
    return "All features" if max_nodes is None else f"{max_nodes:,} nodes"


def seconds_of(run: dict[str, Any]) -> float:
    return run["seconds"]


def trace_bytes(run: dict[str, Any]) -> int:
    """Over the loaded model; at least a page, as small traces fit into what loading left behind."""
    return max(run["peak"] - run["loaded"], 4096)


def print_run(name: str, run: dict[str, Any]) -> None:
    sizes = (run["peak"], run["loaded"], trace_bytes(run))
    table(name, f"{run['seconds']:.2f}", *(f"{size / 1e6:,.0f}" for size in sizes))


def print_ours(runs: list[dict[str, Any]]) -> None:
    """The sweep against bare products in the same process: the median of all turns of all runs."""
    run = runs[0]
    done = sorted((Turn(**turn) for run in runs for turn in run["turns"]), key=lambda turn: turn.share)
    middle = done[len(done) // 2]
    print(
        f"ours: {run['n_active']:,} active features, row error {run['row_error']:.0e};"
        f" {run['operations'] / 1e9:,.0f} GFLOP in the cone, swept in {middle.seconds:.2f} s:"
        f" {middle.share:.0%} of {middle.products / 1e9:.0f} GFLOP/s (budget 80 %;"
        f" {done[0].share:.0%} to {done[-1].share:.0%} in {len(done)} turns)"
    )


if __name__ == "__main__":
    main()
