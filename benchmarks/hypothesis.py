"""How long a hypothesis takes: 12 prompts, 199 control sets at the primary dose, four more doses (wanted: 2 minutes).

    python benchmarks/hypothesis.py            about three minutes
    python benchmarks/hypothesis.py --quick    three control sets: does the script run?

The fixed part: names, template, circuits, doses and seeds. What the edit shows doesn't matter here: nobody looks at it.
Late: five neurons at the last token, layers 10 to 15. Early: one more in layer 4 at the name's last token, so that less
of the prompt is shared. The estimate is the one that is made before a run.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import tracer
from benchmarks.measure import PeakMemory, print_machine, table, title
from lab import HypothesisBody, HypothesisFile, Lab
from lab.runs.plan import make_plan
from lab.runs.run import begin, estimate, run
from tracer import ReplacementModel

NAMES = (
    "Michael Jordan", "Lionel Messi", "Tiger Woods", "Serena Williams", "Babe Ruth", "Tom Brady", "Roger Federer",
    "LeBron James", "Wayne Gretzky", "Usain Bolt", "Muhammad Ali", "Cristiano Ronaldo",
)  # fmt: skip
TEMPLATE = "{} plays the sport of"
LATE = [(10, 55), (11, 300), (13, 1012), (14, 17), (15, 900)]
EARLY = (4, 7)
SETS, QUICK_SETS = 199, 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure running a hypothesis.")
    parser.add_argument("--model", default="gemma-3-270m", help="preset, folder or Hub id")
    parser.add_argument("--store", type=Path, help="folder of converted weights (default: the tracer's own)")
    parser.add_argument("--quick", action="store_true", help="few control sets")
    arguments = parser.parse_args()
    model = tracer.load(arguments.model, store=arguments.store)
    print_machine(arguments.model)
    sets = QUICK_SETS if arguments.quick else SETS
    title(f"{len(NAMES)} prompts, {sets} control sets at the primary dose, 4 more doses (wanted: 120 s)")
    table("", "seconds", "estimate", "MB more", "edited runs")
    for name, early in (("late", False), ("early", True)):
        print_run(model, name, hypothesis(model, sets, early))
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def hypothesis(model: ReplacementModel, sets: int, early: bool) -> HypothesisBody:
    def node(layer: int, feature: int) -> dict[str, object]:
        """The node itself, or one that a smaller model has."""
        return {"layer": layer % model.n_layers, "feature": feature % model.basis.n_features}

    nodes = [node(*which) for which in LATE] + ([node(*EARLY) | {"at": {"slot": "name"}}] if early else [])
    target, competitor = (model.token_text(id) for id in _two_tokens(model))
    return HypothesisBody.model_validate(
        {
            "title": "Benchmark",
            "claim": "These neurons say which sport it is.",
            "kind": "necessity",
            "model": model.name,
            "features": model.basis.name,
            "circuit": [{"name": "sport", "nodes": nodes}],
            "intervention": {"settings": [{"supernode": "sport", "primary": -1, "others": [-2, 0, 0.5, 2]}]},
            "prompts": [
                {"text": TEMPLATE.format(n), "slots": {"name": n}, "target": target, "competitor": competitor}
                for n in NAMES
            ],
            "split": {"seed": 0},
            "direction": "decrease",
            "smallest_effect": 0.5,
            "alpha": 0.05 if sets == SETS else 0.25,
            "controls": [{"seed": 0, "sets": sets}],
            "exclusion": {"rule": "none"},
            "stop": {"fewest_units": 5},
            "seed": 0,
        }
    )


def _two_tokens(model: ReplacementModel) -> list[int]:
    """Of the first prompt's likeliest ones two that begin a word."""
    found = [t.id for t in model.next_tokens(model.token_ids(TEMPLATE.format(NAMES[0])), 40) if t.token[:1] == " "]
    return found[:2]


def print_run(model: ReplacementModel, name: str, body: HypothesisBody) -> None:
    plan = make_plan(body.with_split(), model)
    expected = estimate(model, plan)
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        lab = Lab(f"sqlite:///{folder}/lab.sqlite")
        me = lab.person("local", "benchmark", "benchmark")
        begun = time.perf_counter()
        for _ in run(lab, me, begin(lab, me, HypothesisFile(hypothesis=body), model), model):
            pass
        seconds = time.perf_counter() - begun
        lab.close()
    table(name, f"{seconds:.1f}", f"{expected:.1f}", f"{(memory.peak - memory.loaded) / 1e6:,.0f}", plan.n_runs)


if __name__ == "__main__":
    main()
