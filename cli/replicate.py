"""`python -m tracer replicate`: run a list of published or found results again, and say which hold here."""

import argparse
import json
from collections import Counter
from dataclasses import asdict

from cli import common
from service import Settings
from tracer import TracerError, replications
from tracer.replications import Check, Replications, Result


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("replicate", help="run published results again and compare figures")
    parser.add_argument("preset", choices=replications.names(), help="the model whose list is run")
    parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="just these rows")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def run(arguments: argparse.Namespace) -> None:
    listing = replications.read(replications.FOLDER / f"{arguments.preset}.yaml")
    rows = replications.chosen(listing, arguments.only)
    arguments.model, arguments.features = listing.model, listing.features
    model = common.load(arguments, Settings.from_env())
    results = []
    for i, row in enumerate(rows):
        common.show(row.id, i / len(rows))
        results.append(replications.replicate(model, listing, row))
    common.clear()
    print(
        json.dumps(describe(listing, results), indent=2, ensure_ascii=False)
        if arguments.json
        else _report(listing, results)
    )
    if differing := [result.id for result in results if result.status == "differs"]:
        raise TracerError(f"{len(differing)} of {len(results)} rows differ: {', '.join(differing)}; see their figures")


def describe(listing: Replications, results: list[Result]) -> dict:
    return {
        "model": listing.model,
        "features": listing.features,
        "source": listing.source,
        "counts": _counts(results),
        "rows": [asdict(result) for result in results],
    }


def _counts(results: list[Result]) -> dict[str, int]:
    found = Counter(result.status for result in results)
    return {status: found[status] for status in ("reproduced", "differs", "not run")}


def _report(listing: Replications, results: list[Result]) -> str:
    lines = [f"{listing.model}, {listing.features}; {listing.source}", ""]
    for result in results:
        lines.append(f"{result.status:10}  {result.id:4}  {result.title}" + (" (negative)" if result.negative else ""))
        if result.reason is not None:
            lines.append(f"{'':18}{result.reason}")
        lines += [f"{'':18}{_line(check)}" for check in result.checks if not check.ok]
    lines += ["", ", ".join(f"{n} {status}" for status, n in _counts(results).items())]
    return "\n".join(lines)


def _line(check: Check) -> str:
    return f"{check.what}: expected {_figure(check.expected)}, measured {_figure(check.measured)}"


def _figure(figure: object) -> str:
    return f"{figure:.4f}" if isinstance(figure, float) else str(figure)
