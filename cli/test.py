"""`python -m tracer test`: run a hypothesis against its controls and decide it. Cut off, it goes on where it was."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli import common
from cli.result_report import report
from lab import HypothesisFile, Lab, Person, read_file
from lab.runs.bodies import PromptFigures, RunBody
from lab.runs.conclude import result
from lab.runs.files import save
from lab.runs.notebook import entries, others
from lab.runs.plan import make_plan
from lab.runs.report import markdown
from lab.runs.result import Result
from lab.runs.run import begin, estimate
from lab.runs.run import run as run_prompts
from lab.views import Record
from service import Settings, local_user
from tracer import ReplacementModel


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("test", help="run a hypothesis with its controls, and decide it")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, metavar="HYPOTHESIS.yaml", help="a frozen hypothesis, or a draft")
    what.add_argument("--record", metavar="ID", help="of this lab: the version frozen last, or else the draft")
    parser.add_argument("--model", help="preset, folder or Hub id (default: what the hypothesis names)")
    parser.add_argument("--features", help="feature basis (default: what the hypothesis names)")
    parser.add_argument(
        "--full-grid", action="store_true", help="run controls at all doses, not at the primary one alone"
    )
    parser.add_argument(
        "--predict", action="store_true", help="trace each prompt too, and compare what its graph foretells"
    )
    parser.add_argument("--anew", action="store_true", help="begin a new run, even where one is there to go on with")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the run there, as a bundle with its report")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def run(arguments: argparse.Namespace) -> None:
    with record() as (lab, person):
        file = read_file(arguments.file) if arguments.file is not None else _of_record(lab, arguments.record, person)
        arguments.model = arguments.model or file.hypothesis.model
        arguments.features = arguments.features or file.hypothesis.features
        model = common.load(arguments, Settings.from_env())
        begun = begin(
            lab,
            person,
            file,
            model,
            full_grid=arguments.full_grid,
            predicts=arguments.predict,
            anew=arguments.anew,
            record=arguments.record,
        )
        if not _result(lab, begun, person).complete:
            _say_how_long(begun.head.body, model)
        graph_of = common.tracing(model) if arguments.predict else None
        going = run_prompts(lab, person, begun, model, graph_of, common.show)
        carry_out(lab, person, begun, going, arguments.out, arguments.json)


@contextmanager
def record() -> Iterator[tuple[Lab, Person]]:
    """The record of this machine, and who asks."""
    lab, user = Lab(Settings.from_env().database), local_user()
    try:
        yield lab, lab.person("local", user, user)
    finally:
        lab.close()


def carry_out(
    lab: Lab, person: Person, begun: Record[RunBody], going: Iterator[PromptFigures], out: Path | None, as_json: bool
) -> None:
    """A run to its end, prompt by prompt, and what it says; `out`: the folder of its bundle."""
    try:
        for _ in going:
            pass
    finally:
        common.clear()
        found = _result(lab, begun, person)
        if not found.complete:
            left = f"{found.finished} of {found.total} prompts are finished and kept"
            print(f"tracer: {left}: the same command goes on", file=sys.stderr)
    notebook = _notebook(lab, begun, person)
    found = _result(lab, begun, person, notebook or ())
    if out is not None:
        told = begun.head.body, begun.created, lab.figures(begun.id, person), found
        save(out, *told, markdown(*told), notebook or ())
    print(found.model_dump_json(indent=2) if as_json else report(found, begun, notebook is not None))


def _result(lab: Lab, run: Record[RunBody], person: Person, notebook: tuple[float, ...] = ()) -> Result:
    return result(run.head.body, run.created, lab.figures(run.id, person), notebook)


def _notebook(lab: Lab, begun: Record[RunBody], person: Person) -> tuple[float, ...] | None:
    """The p values of the notebook's other claims; None where the hypothesis is not of this lab."""
    if begun.head.body.body.notebook is None:
        return ()
    unread: list[str] = []
    every = entries(lab, person, unread) + entries(lab, person, unread, deleted=True)
    mine = next((entry for entry in every if begun.id in {run.id for run in entry.runs}), None)
    if mine is None:
        return None
    return others(mine, begun, every, lambda run, notebook: _result(lab, run, person, notebook))


def _of_record(lab: Lab, id: str, person: Person) -> HypothesisFile:
    freezes = lab.freezes(id, person)
    number = freezes[-1].version if freezes else lab.get(id, person).head.number
    return lab.hypothesis_file(id, number, person)


def _say_how_long(body: RunBody, model: ReplacementModel) -> None:
    if sys.stderr.isatty():
        plan = make_plan(body.body, model, body.full_grid)
        seconds = estimate(model, plan)
        graphs = f", and {len(plan.prompts)} graphs" if body.predicts else ""
        common.clear()
        print(f"{plan.n_runs:,} runs with edits, about {seconds:.0f} s from the beginning{graphs}", file=sys.stderr)
