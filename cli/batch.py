"""`python -m tracer batch`: many prompts into a folder, here or over Ray. Cut off, it goes on where it was."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli import common
from cli.test import carry_out, record
from lab import read_file
from lab.runs.run import begin_with, go_on
from service import Settings
from service.batches.folder import Item
from service.batches.folder import Settings as TraceSettings
from service.batches.hypothesis import Spread
from service.batches.over_ray import Cluster
from service.batches.prompts import read_prompts
from service.batches.run import Prepared, prepare
from service.batches.run import run as run_prompts
from service.batches.worker import Worker
from service.batches.workers import Here, Workers
from tracer import TracerError
from tracer.attribution.settings import check_settings

_SHOWN = 20  # failed prompts, a line each


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("batch", help="trace the prompts of a file into a folder, also over a Ray cluster")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("prompts", nargs="?", type=Path, metavar="PROMPTS.csv|jsonl", help="a prompt a row, or token ids")
    what.add_argument(
        "--hypothesis", type=Path, metavar="FILE.yaml", help="its prompts with all edits and controls, as `test` does"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="its folder; of a hypothesis its bundle")
    common.add_model_options(parser)
    common.add_trace_options(parser)
    parser.add_argument("--ray", metavar="local|auto|ADDRESS", help="spread it over the workers of a Ray cluster")
    parser.add_argument(
        "--workers", type=common.whole(1, 10_000), help="with --ray (default: as many as there is room)"
    )
    parser.add_argument("--gpus-per-worker", type=_gpus, help="with --ray, a share or a number (default: 1, if any)")
    parser.set_defaults(parser=parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    if arguments.ray is None and (arguments.workers, arguments.gpus_per_worker) != (None, None):
        arguments.parser.error("--workers and --gpus-per-worker need --ray")
    if arguments.hypothesis is not None:
        if any(getattr(arguments, name) != arguments.parser.get_default(name) for name in common.TRACE_OPTIONS):
            arguments.parser.error("--hypothesis takes no settings of a trace: its file says what is run")
        _run_hypothesis(arguments)
        return
    check_settings(arguments.max_logits, arguments.logit_mass, arguments.max_nodes)
    settings = TraceSettings(
        max_logits=arguments.max_logits, logit_mass=arguments.logit_mass, max_nodes=arguments.max_nodes
    )
    title = " ".join(arguments.prompts.stem.split())[:300] or "Batch"
    asked, environment = read_prompts(arguments.prompts), Settings.from_env()
    names = arguments.model or environment.model, arguments.features or environment.features
    with _workers(arguments, names) as workers:
        prepared = prepare(arguments.out, title, names, asked, settings, workers, common.show)
        _run(prepared, workers, arguments.out)


@contextmanager
def _workers(arguments: argparse.Namespace, names: tuple[str, str]) -> Iterator[Workers]:
    if arguments.ray is None:
        yield Here(Worker(*names, common.show))
        return
    cluster = Cluster(arguments.ray)
    try:
        yield cluster.actors(*names, arguments.workers, arguments.gpus_per_worker)
    finally:
        cluster.close()


def _run_hypothesis(arguments: argparse.Namespace) -> None:
    file = read_file(arguments.hypothesis)
    names = arguments.model or file.hypothesis.model, arguments.features or file.hypothesis.features
    with record() as (lab, person), _workers(arguments, names) as workers:
        begun = begin_with(lab, person, workers.ask("run_body", file))
        going = go_on(lab, person, begun, Spread(begun.head.body, workers), common.show)
        carry_out(lab, person, begun, going, arguments.out, as_json=False)


def _run(prepared: Prepared, workers: Workers, out: Path) -> None:
    folder, failed = prepared.folder, dict[str, tuple[int, str]]()
    for item in folder.items:
        if item.key in prepared.refused:
            _tell(failed, item, prepared.refused[item.key])
    n = len({item.key for item in folder.items})
    there, traced = n - len(prepared.left) - len(prepared.refused), 0

    def show() -> None:
        over = there + traced + len(failed)
        common.show(f"{over:,} of {n:,} prompts", over / n)

    try:
        show()
        for finished in run_prompts(prepared, workers):
            if finished.error is not None:
                _tell(failed, finished.item, finished.error)
            traced += finished.error is None
            show()
    except BaseException:
        common.clear()
        print(f"tracer: {there + traced:,} of {n:,} graphs are kept: the same command goes on", file=sys.stderr)
        raise
    common.clear()
    if failed:
        row, error = min(failed.values())
        raise TracerError(
            f"{len(failed):,} of {n:,} prompts failed, row {row} first ({error}); {there + traced:,} graphs are"
            f" in {out}; the same command tries them again"
        )
    print(f"{n:,} graphs in {out}: {traced:,} traced now, {there:,} were there")


def _tell(failed: dict[str, tuple[int, str]], item: Item, error: str) -> None:
    """Once, where a prompt stands in several rows."""
    if item.key in failed:
        return
    failed[item.key] = item.row, error
    if len(failed) <= _SHOWN:
        common.clear()
        print(f"row {item.row}: {error}", file=sys.stderr)


def _gpus(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not (0 <= number <= 1 or (number <= 64 and number.is_integer())):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a share from 0 to 1 nor a whole number")
    return number
