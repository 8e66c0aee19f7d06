"""`python -m tracer reproduce`: run a bundle's hypothesis anew, and say whether its figures and verdict come out again.

In a record of its own that is thrown away: nothing is left in the lab.
"""

import argparse
import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cli import common
from lab import Lab, LabError, fault
from lab.runs.bodies import RunBody
from lab.runs.bundle import Bundle, read
from lab.runs.compare import Pair, pairs, result_pairs
from lab.runs.conclude import result
from lab.runs.result import Result
from lab.runs.run import begin
from lab.runs.run import run as run_prompts
from service import Settings
from tracer import ReplacementModel

SHOWN = 10  # figures that differ


@dataclass(frozen=True)
class Reproduction:
    bundle: Bundle
    run: RunBody
    found: Result  # of the new run
    pairs: list[Pair]  # (in the bundle, now), the farthest apart first
    tolerance: float
    seconds: float  # without loading the model

    @property
    def differing(self) -> list[Pair]:
        return [pair for pair in self.pairs if not pair.gap() <= self.tolerance]

    @property
    def said_otherwise(self) -> list[Pair]:
        """Where result.json says something else than the bundle's own figures."""
        found = result_pairs(self.bundle.said, self.bundle.found)
        return [pair for pair in found if not pair.gap() <= self.tolerance]

    @property
    def same_verdict(self) -> bool:
        return _decision(self.bundle.found) == _decision(self.found)

    @property
    def agrees(self) -> bool:
        return self.same_verdict and not self.differing and not self.said_otherwise

    def made_otherwise(self) -> dict[str, tuple[str, str]]:
        """Model, device, versions and machine that are not what they were: (in the bundle, now)."""
        then, now = ({**r.made_with.model_dump(), "machine": r.machine} for r in (self.bundle.run, self.run))
        then, now = ({**flat, **flat.pop("versions")} for flat in (then, now))
        return {
            name: (then.get(name, "none"), now.get(name, "none"))
            for name in {**then, **now}
            if then.get(name) != now.get(name)
        }


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("reproduce", help="run a bundle's hypothesis anew, and compare all figures")
    parser.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a zip or a folder that `test --out` or the page wrote"
    )
    parser.add_argument("--model", help="preset, folder or Hub id (default: what the hypothesis names)")
    parser.add_argument("--features", help="feature basis (default: what the hypothesis names)")
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=1e-3,
        help="by how much a figure may differ, or by what share (default: 0.001)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def run(arguments: argparse.Namespace) -> None:
    settings = Settings.from_env()
    bundle = read(arguments.bundle)
    file = bundle.run.hypothesis
    if file.freeze is not None and (problem := fault(file.hypothesis, file.freeze)):
        raise LabError(f"{arguments.bundle.name}: {problem}")
    if not bundle.found.complete:
        raise LabError(f"{arguments.bundle.name}: its run was not finished: finish it, and take the bundle anew")
    arguments.model = arguments.model or file.hypothesis.model
    arguments.features = arguments.features or file.hypothesis.features
    model = common.load(arguments, settings)
    made = _reproduced(bundle, model, arguments.tolerance)
    print(json.dumps(describe(made), indent=2, ensure_ascii=False) if arguments.json else report(made))
    if not made.agrees:
        raise LabError(f"{arguments.bundle.name} is not reproduced: {_why(made)}")


def _reproduced(bundle: Bundle, model: ReplacementModel, tolerance: float) -> Reproduction:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(f"sqlite:///{folder}/lab.sqlite")
        try:
            me = lab.person("local", "reproduce", "reproduce")
            was = bundle.run
            record = begin(lab, me, was.hypothesis, model, full_grid=was.full_grid, predicts=was.predicts)
            graph_of = common.tracing(model) if bundle.run.predicts else None
            try:
                for _ in run_prompts(lab, me, record, model, graph_of, common.show):
                    pass
            finally:
                common.clear()
            kept = lab.figures(record.id, me)
        finally:
            lab.close()
    return Reproduction(
        bundle=bundle,
        run=record.head.body,
        found=result(record.head.body, bundle.started, kept, bundle.notebook),
        pairs=pairs(bundle.kept, kept),
        tolerance=tolerance,
        seconds=time.perf_counter() - begun,
    )


def describe(made: Reproduction) -> dict:
    return {
        "agrees": made.agrees,
        "title": made.found.title,
        "hash": made.bundle.run.hash,
        "exploratory": made.bundle.found.exploratory,
        "verdict": {"bundle": _sentence(made.bundle.found), "now": _sentence(made.found), "same": made.same_verdict},
        "figures": len(made.pairs),
        "differing": len(made.differing),
        "tolerance": made.tolerance,
        "largest_difference": _finite(made.pairs[0].gap()),
        "worst": [_told(pair) for pair in made.differing[:SHOWN]],
        "result_says_otherwise": [_told(pair) for pair in made.said_otherwise[:SHOWN]],
        "made_with": {name: {"bundle": then, "now": now} for name, (then, now) in made.made_otherwise().items()},
        "seconds": made.seconds,
    }


def report(made: Reproduction) -> str:
    """Texts of a bundle only as Python writes them: they can't steer a terminal."""
    bundle = made.bundle
    status = (
        "confirmatory: frozen before it ran"
        if bundle.found.exploratory is None
        else f"exploratory: {bundle.found.exploratory}"
    )
    lines = [f"{made.found.title!r}, {bundle.run.hash[:12]}…, run {bundle.started:%Y-%m-%d}; {status}", ""]
    lines += [f"{name}: {then!r} in the bundle, {now!r} here" for name, (then, now) in made.made_otherwise().items()]
    lines.append(
        f"{len(made.pairs):,} figures, {len(made.differing):,} differ by more than {made.tolerance:g}; the largest"
        f" difference is {made.pairs[0].gap():.2g} ({made.seconds:.0f} s)"
    )
    lines += [f"  {_line(pair)}" for pair in made.differing[:SHOWN]]
    lines += [
        f"  result.json says {_figure(pair.first)}, the bundle's figures {_figure(pair.second)}: {pair.where}"
        for pair in made.said_otherwise[:SHOWN]
    ]
    lines += ["", f"in the bundle: {_sentence(bundle.found)}", f"here:          {_sentence(made.found)}"]
    return "\n".join([*lines, *(["", "It is reproduced."] if made.agrees else [])])


def _why(made: Reproduction) -> str:
    reasons = []
    if not made.same_verdict:
        reasons.append(f"it is {_decision(made.found)} here, and {_decision(made.bundle.found)} in the bundle")
    if made.differing:
        reasons.append(f"{len(made.differing):,} of {len(made.pairs):,} figures differ")
    if made.said_otherwise:
        reasons.append("its result.json does not follow from its figures")
    return "; ".join(reasons)


def _decision(found: Result) -> str | None:
    return None if found.verdict is None else found.verdict.decision


def _sentence(found: Result) -> str | None:
    return None if found.verdict is None else found.verdict.sentence


def _line(pair: Pair) -> str:
    return f"{pair.where}: {_figure(pair.first)} in the bundle, {_figure(pair.second)} here"


def _figure(figure: object) -> str:
    if isinstance(figure, dict | list):
        return "several figures"
    return f"{figure:.6g}" if isinstance(figure, float) else "nothing" if figure is None else repr(figure)


def _told(pair: Pair) -> dict[str, object]:
    return {"where": pair.where, "bundle": pair.first, "now": pair.second, "difference": _finite(pair.gap())}


def _finite(gap: float) -> float | None:
    return gap if math.isfinite(gap) else None  # JSON knows no ∞


def _tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to below 1")
    return number
