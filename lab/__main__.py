"""Erase for good what a person or a record said (`make purge`). What is gone is gone: only the id is kept."""

import argparse
import os
import sys
from contextlib import closing

from lab import Lab, LabDatabaseError, LabError
from lab.database import default_url


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--purge-record",
        metavar="ID",
        help="a circuit, label, steering run, hypothesis, run of one or comment, all its versions",
    )
    what.add_argument("--purge-person", metavar="ID", help="a person's name, and all that they wrote")
    arguments = parser.parse_args()
    try:
        with closing(Lab(os.environ.get("HYPOGRAPH_DATABASE") or default_url())) as lab:
            if arguments.purge_record:
                lab.purge_record(arguments.purge_record)
                print(f"record {arguments.purge_record}: erased")
            else:
                records = lab.purge_person(arguments.purge_person)
                print(f"person {arguments.purge_person}: erased, with {records} records")
    except (LabError, LabDatabaseError) as problem:
        print(f"{problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
