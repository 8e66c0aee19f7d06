"""Convert the embedded model once, so that the first trace need not wait for it. Run by `make setup`."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = "gemma-3-270m"


def printer() -> Callable[[str, float], None]:
    """A progress callback: prints where the phase changes or ten per cent have gone by, at most one line a second."""
    start = printed = time.monotonic()
    last_phase, last_tenth = "", -1

    def progress(phase: str, fraction: float) -> None:
        nonlocal printed, last_phase, last_tenth
        now, tenth = time.monotonic(), int(fraction * 10)
        if phase != last_phase or (tenth > last_tenth and now - printed >= 1):
            print(f"  {now - start:4.0f} s  {phase} {tenth * 10} %", flush=True)
            printed, last_phase, last_tenth = now, phase, tenth

    return progress


def main() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the package has it all
    sys.path.insert(0, str(ROOT))
    import tracer

    print(f"Preparing {MODEL} (seconds if it has been converted before, a minute or two the first time)…", flush=True)
    tracer.load(MODEL, progress=printer())
    print("The model is ready.")


if __name__ == "__main__":
    main()
