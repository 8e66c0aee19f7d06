"""The rows of somebody's CSV file with a header, each with its line, so that a fault can name it."""

import csv
import io
from collections.abc import Callable, Iterator

from lab.errors import LabError


def csv_rows(text: str, check: Callable[[list[str]], None]) -> Iterator[tuple[str, dict[str, str]]]:
    """`line 2` and what its cells hold, by column; empty cells and empty lines are left out, spaces belong to a cell.

    `check` raises for a header that makes no sense. Raises LabError, naming the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        check(header)
        line = reader.line_num + 1
        for cells in reader:
            where, line = f"line {line}", reader.line_num + 1
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise LabError(
                    f"{where} has {len(cells)} cells where the header has {len(header)}: check its commas and quotes"
                )
            yield where, {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    except csv.Error as problem:
        raise LabError(f"line {reader.line_num} is no CSV ({problem}): check its quotes and commas") from problem
