"""When memory runs out: one line, and everything given back even while the exception is kept."""

import sys
import weakref
from pathlib import Path

import psutil
import pytest
import torch

import tracer
from tests.helpers import PROMPT, REPEATED, replacement, saved, tiny_llama
from tracer import Edit, TracerError
from tracer.attribution.sweep import Sweep
from tracer.errors import OutOfMemory
from tracer.memory import give_back, is_out_of_memory
from tracer.replacement import ReplacementModel
from tracer.steering.run import Batch

FULL = "CUDA out of memory.\nTried to allocate 2 TiB"


class Full:
    """Takes the place of a method: raises as torch does, and looks whether its first arguments stay alive."""

    def __init__(self) -> None:
        self.held: list[weakref.ref] = []

    def __call__(self, *arguments: object, **_options: object) -> None:
        self.held = [weakref.ref(argument) for argument in arguments if hasattr(argument, "__weakref__")]
        raise torch.OutOfMemoryError(FULL)

    def put(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> "Full":
        monkeypatch.setattr(owner, name, lambda *arguments, **options: self(*arguments, **options))
        return self


def test_a_trace_says_what_to_do_and_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    model = replacement(tiny_llama())
    before = model.trace(PROMPT)
    with monkeypatch.context() as patch:
        full = Full().put(patch, Sweep, "_sweep")
        with pytest.raises(OutOfMemory, match=r"memory of (cpu|cuda:0) ran out: trace fewer nodes") as caught:
            model.trace(PROMPT)
    assert "\n" not in str(caught.value) and "offload=True" in str(caught.value)
    assert len(full.held) >= 2 and not any(one() for one in full.held), "the exception keeps the sweep's tensors"
    assert abs(model.trace(PROMPT).adjacency - before.adjacency).max() <= REPEATED


def test_edits_side_by_side_do_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = replacement(tiny_llama())
    edits = [Edit(1, 3, 2, value=2.0)]
    before = model.steer(PROMPT, edits).logits
    with monkeypatch.context() as patch:
        full = Full().put(patch, Batch, "forward")
        with pytest.raises(OutOfMemory, match="ran out") as caught:
            list(model.steer_many(PROMPT, [edits]))
    assert caught.value and full.held and not any(one() for one in full.held)
    assert torch.equal(model.steer(PROMPT, edits).logits, before)


def test_half_a_model_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tiny_llama(), tmp_path / "llama")
    full = Full().put(monkeypatch, ReplacementModel, "self_check")
    with pytest.raises(OutOfMemory, match="does not fit into the memory of cpu; free some") as caught:
        tracer.load(str(folder), device="cpu")
    assert caught.value and full.held and not any(one() for one in full.held)


def test_other_errors_pass_with_their_cause(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TracerError, match="can't be used; supported are") as caught:
        tracer.load(str(tmp_path))
    assert not isinstance(caught.value, OutOfMemory) and caught.value.__cause__ is not None
    with pytest.raises(TypeError):
        replacement(tiny_llama()).trace(PROMPT, max_logits="many")


def test_what_counts_as_out_of_memory() -> None:
    said = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    assert all(is_out_of_memory(RuntimeError(text)) for text in said)
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError(FULL))
    assert not is_out_of_memory(RuntimeError("shapes differ")) and not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_freed_memory_goes_back_to_the_system() -> None:
    resident = psutil.Process().memory_info
    held = [b"\1" * 60_000 for _ in range(4_000)]
    last, full = held[-1], resident().rss  # which lies above them: without being told, the C library keeps them all
    del held
    give_back()
    assert len(last) and full - resident().rss > 150e6
