"""The command line: parsing, exit codes, and one line on stderr when something fails."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from cache import CacheError
from cli import batch, dashboards, export, import_, models, replicate, reproduce, steer, test, trace, verify
from lab import LabDatabaseError, LabError
from service import SettingsError
from tracer import TracerError


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, 1 (failed, one line on stderr saying what to do), 2 (usage), 130 (interrupted)."""
    parser = argparse.ArgumentParser(prog="python -m tracer", description="Attribution graphs of language models.")
    debug: dict[str, Any] = {"action": "store_true", "help": "show the traceback of an error"}
    parser.add_argument("--debug", **debug)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (models, trace, batch, steer, dashboards, export, import_, replicate, test, reproduce, verify):
        command = module.add_parser(commands)
        command.add_argument("--debug", default=argparse.SUPPRESS, **debug)  # before the command or after it
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except (TracerError, CacheError, LabError, LabDatabaseError, SettingsError) as problem:
        if arguments.debug:
            raise
        print(f"tracer: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tracer: interrupted", file=sys.stderr)
        return 130
    except Exception as problem:
        if arguments.debug:
            raise
        reason = str(problem).splitlines()[0] if str(problem) else ""
        print(f"tracer: {type(problem).__name__}: {reason} (--debug shows where)", file=sys.stderr)
        return 1
    return 0
