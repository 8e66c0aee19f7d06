"""Look after the record: back it up, restore it, erase for good what a person or a record said (`make purge`; only the
id is kept)."""

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path

from lab import Lab, LabDatabaseError, LabError
from lab.backup import back_up, restore
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
    what.add_argument("--backup", metavar="FILE", type=Path, help="the whole record into a zip; the server may run on")
    what.add_argument(
        "--restore",
        metavar="FILE",
        type=Path,
        help="a backup, into a database where nobody has written and no server runs",
    )
    arguments = parser.parse_args()
    url = os.environ.get("HYPOGRAPH_DATABASE_URL") or default_url()
    try:
        if arguments.backup or arguments.restore:
            file = arguments.backup or arguments.restore
            counts = back_up(url, file) if arguments.backup else restore(file, url)
            done = "backed up to" if arguments.backup else "restored from"
            print(f"{counts['records']:,} records of {counts['persons']:,} persons {done} {file}")
            return 0
        with closing(Lab(url)) as lab:
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
