"""A run as a bundle: one zip, or a folder, of the files that files.py makes. Reading one trusts nothing in it.

Nothing is unpacked: of each file that a bundle is made of as many bytes are read as such a file may have.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from lab.runs.bodies import RunBody
from lab.runs.files import contents
from lab.runs.keeping import Kept
from lab.runs.result import Result


def pack(
    run: RunBody, started: datetime, kept: Kept, found: Result, report: str = "", notebook: Sequence[float] = ()
) -> bytes:
    """The zip, see `files.contents`. The same run gives the same bytes."""
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in contents(run, started, kept, found, report, notebook).items():
            file = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            file.compress_type, file.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(file, content)
    return packed.getvalue()
