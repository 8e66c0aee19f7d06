"""What other processes run in test_packages.py: one conversion, with every step of its progress told to the test."""

import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401  before the fork, for speed

from tracer.errors import TracerError
from tracer.model.packages import converted
from tracer.presets import Preset


def convert(packages: Path, preset: Preset, store: Path, stop_at: str | None, told: Connection) -> None:
    """Sends each phase once, then "done <folder>" or "error <message>"; hangs where phase `stop_at` begins."""
    sys.path.insert(0, str(packages))
    last = ""

    def progress(phase: str, _fraction: float) -> None:
        nonlocal last
        if phase != last:
            told.send(phase)
            last = phase
        if phase == stop_at:
            time.sleep(60)

    try:
        told.send(f"done {converted(preset, store, progress)}")
    except TracerError as problem:
        told.send(f"error {problem}")
