"""What trace refuses, and that progress and cancelling reach the work."""

import pytest
import torch

from tests.helpers import PROMPT, REPEATED, VOCAB, replacement, tiny_llama
from tracer import Cancelled, Difference, TracerError
from tracer.attribution.settings import check_products


@pytest.fixture(scope="module")
def model():
    return replacement(tiny_llama())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "prompt or token ids"),
        ({"tokens": []}, "empty"),
        ({"tokens": [1, VOCAB]}, "vocabulary"),
        ({"tokens": [1, -1]}, "vocabulary"),
        ({"prompt": PROMPT, "position": 99}, "outside the prompt"),
        ({"prompt": PROMPT, "max_logits": 0}, "max_logits"),
        ({"prompt": PROMPT, "logit_mass": 1.5}, "logit_mass"),
        ({"prompt": PROMPT, "max_nodes": 0}, "max_nodes"),
        ({"prompt": PROMPT, "max_nodes": "many"}, "max_nodes"),
        ({"prompt": PROMPT, "targets": []}, "no target"),
        ({"prompt": PROMPT, "targets": ["w1 w2"]}, "2 tokens"),
        ({"prompt": PROMPT, "targets": [VOCAB]}, "vocabulary"),
        ({"prompt": PROMPT, "targets": Difference(3, 3)}, "the same"),
    ],
)
def test_bad_requests_say_what_to_do(model, options, says):
    with pytest.raises(TracerError, match=says) as caught:
        model.trace(**options)
    assert "\n" not in str(caught.value)


def test_rounded_products_of_a_gpu_are_refused():
    check_products(torch.device("cuda"))
    torch.set_float32_matmul_precision("high")
    try:
        check_products(torch.device("cpu"))
        with pytest.raises(TracerError, match="set_float32_matmul_precision"):
            check_products(torch.device("cuda"))
    finally:
        torch.set_float32_matmul_precision("highest")
    check_products(torch.device("cuda"))


def test_all_nodes_are_refused_where_memory_is_short(model, monkeypatch):
    class Little:
        available = 1000

    monkeypatch.setattr("tracer.replacement.psutil.virtual_memory", Little)
    with pytest.raises(TracerError, match="GB"):
        model.trace(PROMPT, max_nodes=None)


@pytest.mark.parametrize("phase", ["record", "encode", "select", "sweep"])
def test_cancelling_in_every_phase_leaves_the_model_as_it_was(model, phase):
    before = model.trace(PROMPT, max_nodes=30)

    def stop(name, _fraction):
        if name == phase:
            raise Cancelled

    with pytest.raises(Cancelled):
        model.trace(PROMPT, max_nodes=30, progress=stop)
    after = model.trace(PROMPT, max_nodes=30)
    assert abs(before.adjacency - after.adjacency).max() <= REPEATED
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.anatomy.model.modules())


def test_progress_goes_from_phase_to_phase(model):
    seen = []
    model.trace(PROMPT, max_nodes=30, progress=lambda phase, fraction: seen.append((phase, fraction)))
    assert list(dict.fromkeys(phase for phase, _ in seen)) == ["record", "encode", "select", "sweep"]
    for phase in ("record", "select", "sweep"):
        fractions = [f for p, f in seen if p == phase]
        assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_next_tokens_and_says(model):
    top = model.next_tokens(model.token_ids(PROMPT), 5)
    assert [t.probability for t in top] == sorted((t.probability for t in top), reverse=True)
    raised, lowered = model.says(1, 7, 4)
    assert raised[0][1] > raised[-1][1] > 0 > lowered[-1][1] > lowered[0][1]
    assert len(model.next_tokens([0], 1000)) == VOCAB


def test_prompt_text_gives_the_same_tokens_again(model):
    ids = model.token_ids(PROMPT)
    assert model.prompt_text(ids) == PROMPT
    graph = model.trace(tokens=ids, max_nodes=20, targets=Difference("w3", 4))
    assert graph.meta["prompt"] == PROMPT
    assert graph.meta["settings"]["targets"] == {"a": "w3", "b": model.token_text(4)}
    assert model.trace(tokens=ids, max_nodes=20, targets=[5]).meta["settings"]["targets"] == [model.token_text(5)]
