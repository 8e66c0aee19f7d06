"""A benchmark's quick run, in this process: what it takes is not importing torch again."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def quick_run(script: str, *words: object) -> None:
    """Run benchmarks/SCRIPT with --quick as a program is."""
    spec = importlib.util.spec_from_file_location(f"quick_{Path(script).stem}", FOLDER / script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [script, "--quick", *map(str, words)])
        module.main()
