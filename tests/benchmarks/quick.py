"""A benchmark's quick run, in this process: what it takes is not importing torch again."""

import importlib.util
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def quick_run(script: str, *words: object) -> None:
    """Run benchmarks/SCRIPT with --quick as a program is; on one thread: more would only wait for each other."""
    spec = importlib.util.spec_from_file_location(f"quick_{Path(script).stem}", FOLDER / script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [script, "--quick", *map(str, words)])
        try:
            module.main()
        finally:
            torch.set_num_threads(before)
