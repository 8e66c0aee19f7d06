"""Conditions side by side: every place of a text as a run step by step, or from scratch, has it; KL by its formula."""

import math

import pytest
import torch

from tests.helpers import DEVICE, FAMILIES, PROMPT, replacement, tiny_llama
from tests.tracer.steering.models import EVERY, made
from tracer import GENERATED, Edit, Sampling, TracerError
from tracer.errors import Cancelled
from tracer.steering.compare import Case, compare, differing, divergence

EDITS = (Edit(1, -1, 7, value=5.0), Edit(1, slice(7, None), 3, value=4.0), Edit(2, GENERATED, 11, plus=6.0))
LUCK = Sampling(1.0, seed=3)


def told(case: Case, n: int = 6) -> list:
    return list(case.generate(n, LUCK))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_without_edits_each_place_is_a_plain_forward_s(family):
    model = made(family, "neurons")
    prompt, text = model.token_ids(PROMPT), [5, 9, 40, 2, 17]
    found = model.score(text, PROMPT)
    assert found.shape == (5, model.vocab_size)
    plain = model.anatomy.model(torch.tensor([prompt + text], device=DEVICE)).logits[0, len(prompt) - 1 : -1].cpu()
    torch.testing.assert_close(found, torch.log_softmax(plain, -1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("protocol", ["direct", "constrained", "clamp", "free"])
@pytest.mark.parametrize(("family", "basis"), EVERY[::7])
def test_each_place_is_what_generating_step_by_step_has(family, basis, protocol, monkeypatch):
    model = made(family, basis)
    monkeypatch.setattr(type(model), "stop_tokens", {-1})
    layers = (1, 3) if protocol == "constrained" else None
    case = Case(model, tuple(model.token_ids(PROMPT)), EDITS, protocol, layers)
    tokens = told(case)
    text = [token.id for token in tokens]
    found = case.score(text)
    assert [float(row[id]) for row, id in zip(found, text, strict=True)] == pytest.approx(
        [token.logprob for token in tokens], abs=2e-4
    )
    for row, token in zip(found, tokens, strict=True):
        assert row.topk(5).values.exp().tolist() == pytest.approx([p for _, p in token.alternatives], abs=2e-4)
    plain = Case(model, case.tokens).score(text)
    assert all(float((a - b).abs().max()) > 1e-3 for a, b in zip(found, plain, strict=True)), "edits act at each place"


def test_the_figures_of_two_conditions(monkeypatch):
    model = made("llama", "neurons")
    monkeypatch.setattr(type(model), "stop_tokens", {-1})
    prompt = tuple(model.token_ids(PROMPT))
    cases = [Case(model, prompt), Case(model, prompt, EDITS), Case(model, prompt[:4])]
    texts = [[token.id for token in told(case)] for case in cases]
    first, edited, other = compare(cases, texts)
    assert first.kl == (0.0,) * 6 and first.perplexity == first.perplexity_first and first.kl_next == 0
    assert all(said.change == 0 for said in first.said)
    for case, found, text in ((cases[1], edited, texts[1]), (cases[2], other, texts[2])):
        for i in range(6):  # each place from scratch, by hand
            p = torch.softmax(model.record([*prompt, *texts[0][:i]]).logits.double(), 0)
            q = case.score([*texts[0][:i], 0])[i].double()
            assert found.kl[i] == pytest.approx(float((p * (p.log() - q)).sum()), abs=1e-4)
            plain = torch.log_softmax(model.record([*prompt, *text[:i]]).logits, 0)
            assert found.said[i].first == pytest.approx(float(plain[text[i]]), abs=1e-4)
        mean = sum(said.first for said in found.said) / 6
        assert found.perplexity_first == pytest.approx(math.exp(-mean), rel=1e-5)
        assert found.kl_next == found.kl[0] > 0
    steered = model.steer(PROMPT, EDITS[:2])
    id = int(steered.logits.argmax())
    assert edited.demeaned(id) - first.demeaned(id) == pytest.approx(float(steered.delta[id]), abs=1e-4)
    assert (first.rank(id), edited.rank(id)) == steered.ranks(id)
    assert edited.kl_next == pytest.approx(steered.kl, abs=1e-4)
    assert other.probabilities == pytest.approx(torch.softmax(model.record(prompt[:4]).logits.double(), 0))


def test_kl_is_zero_for_the_same_and_positive_both_ways():
    one, two = (torch.log_softmax(torch.tensor([[2.0, 0.0], [1.0, x]]), -1) for x in (1.0, 3.0))
    assert divergence(one, two)[0] == 0
    p, q = 0.5, 1 / (1 + math.exp(2))
    assert divergence(one, two)[1] == pytest.approx(p * math.log(p / q) + p * math.log(p / (1 - q)))
    assert divergence(two, one)[1] == pytest.approx(q * math.log(q / p) + (1 - q) * math.log((1 - q) / p))


def test_models_with_other_tokens_are_compared_in_nothing_but_their_own():
    one, two = made("llama", "neurons"), replacement(tiny_llama(seed=1))
    cases = [Case(one, (0, 5, 9)), Case(two, (0, 5, 9))]
    _, same = compare(cases, [[4, 8], [4, 8]])
    assert same.kl is not None and same.said[0].first is not None
    two.tokenizer.add_tokens(["new"])
    _, other = compare(cases, [[4, 8], [4, 8]])
    assert other.kl is None and other.perplexity_first is None and other.said[0].change is None
    assert other.perplexity == same.perplexity


def test_differing_tokens_are_those_outside_the_shared_parts():
    assert differing(["a", "b", "c", "d"], ["a", "x", "b", "c"]) == [False, True, False, False]
    assert differing([], ["a"]) == [True] and differing(["a"], []) == []


def test_refusals_are_one_line_and_the_model_stays_as_it_was():
    model = made("llama", "neurons")
    prompt = model.token_ids(PROMPT)
    before = model.record(prompt).logits
    for text, says in (([], "empty"), ([61], "not in the vocabulary"), ([3] * 250, "window of 256")):
        with pytest.raises(TracerError, match=says):
            model.score(text, PROMPT)
    with pytest.raises(TracerError, match="layer 9"):
        model.score([3], PROMPT, [Edit(9, 0, 0, value=1.0)])
    with pytest.raises(TracerError, match="1 texts for 2"):
        compare([Case(model, (0, 5))] * 2, [[3]])

    def stop(phase: str, fraction: float) -> None:
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        compare([Case(model, tuple(prompt)), Case(model, tuple(prompt), EDITS)], [[3, 4]] * 2, stop)
    assert torch.equal(model.record(prompt).logits, before)
