"""`python -m tracer verify`: is a hypothesis still what was frozen, in a file or in the lab's database."""

import argparse
from datetime import UTC
from pathlib import Path

from lab import Freeze, Lab, LabError, fault, read_file
from service import Settings, local_user


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("verify", help="check that a hypothesis is what was frozen")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, metavar="HYPOTHESIS.yaml", help="an exported hypothesis")
    what.add_argument("--record", metavar="ID", help="a hypothesis of this lab, all its frozen versions")
    return parser


def run(arguments: argparse.Namespace) -> None:
    for line in _file(arguments.file) if arguments.file is not None else _record(arguments.record):
        print(line)


def _file(path: Path) -> list[str]:
    file = read_file(path)
    if file.freeze is None:
        raise LabError(f"{path.name} is not frozen: it is a draft, and runs on it are exploratory")
    if problem := fault(file.hypothesis, file.freeze):
        raise LabError(f"{path.name}: {problem}")
    return [_holds(file.freeze)]


def _record(id: str) -> list[str]:
    user = local_user()
    lab = Lab(Settings.from_env().database)
    try:
        found = lab.check_freezes(id, lab.person("local", user, user))
    finally:
        lab.close()
    if not found:
        raise LabError(f"record {id} has no frozen version: runs on it are exploratory")
    if problem := next((checked.fault for checked in found if checked.fault is not None), None):
        raise LabError(f"record {id}: {problem}")
    return [_erased(checked.freeze) if checked.erased else _holds(checked.freeze) for checked in found]


def _holds(freeze: Freeze) -> str:
    """Names only as Python writes them: nothing in them can steer a terminal."""
    after = f", changes {freeze.previous[:12]}…: exploratory" if freeze.previous else ""
    return (
        f"holds: version {freeze.version} of record {freeze.record!r}, frozen by {freeze.author!r} at"
        f" {_time(freeze)}, SHA-256 {freeze.hash}{after}"
    )


def _erased(freeze: Freeze) -> str:
    return f"erased: version {freeze.version}, frozen at {_time(freeze)}, SHA-256 {freeze.hash}"


def _time(freeze: Freeze) -> str:
    return f"{freeze.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
