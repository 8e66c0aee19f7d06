"""Text under edits: the plain model without them, the same tokens as a run from scratch at every step with them."""

import pytest
import torch

from tests.helpers import DEVICE, FAMILIES, PROMPT
from tests.tracer.steering.models import EVERY, made
from tracer import GENERATED, Edit, Push, Sampling, TracerError
from tracer.errors import Cancelled
from tracer.steering import generate as module


def texts(model, conditions, n_tokens=6, **options):
    """The tokens of each condition, in order."""
    found = [[] for _ in conditions]
    for token in model.generate(PROMPT, conditions, n_tokens=n_tokens, **options):
        assert token.index == len(found[token.condition])
        found[token.condition].append(token)
    return found


def ids(tokens):
    return [token.id for token in tokens]


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_without_edits_it_is_the_model_s_own_generate(family, monkeypatch):
    model = made(family, "neurons")
    monkeypatch.setattr(type(model), "stop_tokens", {-1})
    prompt = torch.tensor([model.token_ids(PROMPT)], device=DEVICE)
    plain = model.anatomy.model.generate(
        prompt, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0, attention_mask=prompt * 0 + 1
    )
    (tokens,) = texts(model, [[]])
    assert ids(tokens) == plain[0, prompt.shape[1] :].tolist()
    logprobs = torch.log_softmax(model.record(model.token_ids(PROMPT)).logits, 0)
    assert tokens[0].logprob == pytest.approx(float(logprobs.max()), abs=1e-4)
    assert tokens[0].alternatives[0] == (tokens[0].id, pytest.approx(float(logprobs.max().exp()), abs=1e-4))
    assert [t.last for t in tokens] == [False] * 5 + [True]


@pytest.mark.parametrize(("family", "basis"), EVERY[::5])
def test_edits_on_prompt_and_generated_tokens_act_as_in_a_run_from_scratch(family, basis, monkeypatch):
    """`free`: what was generated is a prompt like any other, so each step can be run whole."""
    model = made(family, basis)
    monkeypatch.setattr(type(model), "stop_tokens", {-1})
    prompt = model.token_ids(PROMPT)
    edits = [Edit(1, -1, 7, value=5.0), Edit(1, slice(7, None), 3, value=4.0), Edit(2, GENERATED, 11, plus=6.0)]
    conditions = [edits, [], edits[2:], [Edit(0, slice(len(prompt) + 2, None), 5, value=9.0)]]
    found = texts(model, conditions, protocol="free")
    n = len(prompt)
    for tokens, condition in zip(found, conditions, strict=True):
        known = list(prompt)
        for token in tokens:
            now = []
            for edit in condition:
                span = edit.position
                if span == GENERATED:
                    span = slice(n, None)
                span = range(span.start, len(known)) if isinstance(span, slice) else [n + span]
                now += [Edit(edit.layer, p, edit.feature, edit.value, plus=edit.plus) for p in span]
            if now:
                logits = model.steer(tokens=known, edits=_by_what_runs(model, known, now), protocol="free").logits
            else:
                logits = model.record(known).logits
            logprobs = torch.log_softmax(logits, 0)
            assert token.logprob == pytest.approx(float(logprobs[token.id]), abs=2e-3)
            assert token.logprob == pytest.approx(float(logprobs.max()), abs=2e-3)
            known.append(token.id)
    said = {tuple(round(token.logprob, 3) for token in tokens) for tokens in found}
    assert len(said) == len(conditions), "each condition should change what is said"


def _by_what_runs(model, known, edits):
    """`plus` at a generated token is on top of what the running model has there, not of the run without edits."""
    plain = [e for e in edits if e.plus is None]
    added = sorted((e for e in edits if e.plus is not None), key=lambda e: (e.layer, e.position))
    for e in added:
        at = (e.layer, e.position, e.feature)
        (run,) = model.steer_many(
            tokens=known, conditions=[plain or [Edit(0, 0, 0, factor=1)]], protocol="free", watch=[at]
        )
        plain = [*plain, Edit(e.layer, e.position, e.feature, value=float(run.watched[0]) + e.plus)]
    return plain


def test_the_start_of_an_open_end_is_honoured():
    model = made("llama", "neurons")
    n = len(model.token_ids(PROMPT))
    late, never, plain = texts(
        model,
        [[Edit(2, slice(n + 3, None), 7, value=60.0)], [Edit(2, slice(n + 90, None), 7, value=60.0)], []],
        n_tokens=6,
    )
    assert ids(never) == ids(plain) and ids(late)[:4] == ids(plain)[:4]
    assert late[4].logprob != pytest.approx(plain[4].logprob, abs=1e-3)
    with pytest.raises(TracerError, match="outside the prompt"):
        model.steer(PROMPT, [Edit(2, slice(n + 3, None), 7, value=60.0)])
    with pytest.raises(TracerError, match="generate some text"):
        model.steer(PROMPT, [Edit(2, GENERATED, 7, value=60.0)])


def test_of_the_same_feature_the_last_edit_that_acts_wins():
    model = made("llama", "neurons")
    n = len(model.token_ids(PROMPT))
    first = Edit(2, slice(n, None), 7, value=60.0)
    later = Edit(2, slice(n + 3, None), 7, value=-60.0)
    one, both, plain = texts(model, [[first], [first, later], []], n_tokens=6)
    assert [t.logprob for t in both[:4]] == pytest.approx([t.logprob for t in one[:4]], abs=1e-4)
    assert both[1].logprob != pytest.approx(plain[1].logprob, abs=1e-3)
    assert both[4].logprob != pytest.approx(one[4].logprob, abs=1e-3)


def test_prompts_run_in_batches_that_fit_the_memory(monkeypatch):
    model = made("gemma3", "neurons")
    conditions = [[Edit(1, -1, f, value=9.0)] for f in range(5)] + [[]]
    whole = texts(model, conditions, n_tokens=3)
    monkeypatch.setattr(module, "batch_size", lambda *_: 2)
    for one, other in zip(texts(model, conditions, n_tokens=3), whole, strict=True):
        assert [t.logprob for t in one] == pytest.approx([t.logprob for t in other], abs=1e-4)


def test_the_protocol_holds_on_the_prompt():
    model = made("gemma3", "plt relu")
    edits = [Edit(1, -2, 7, value=5.0)]
    for protocol in ("direct", "clamp", "free"):
        (tokens,) = texts(model, [edits], n_tokens=1, protocol=protocol)
        logits = model.steer(PROMPT, edits, protocol=protocol).logits
        assert tokens[0].logprob == pytest.approx(float(torch.log_softmax(logits, 0).max()), abs=1e-4)


def test_a_seed_is_a_seed_and_the_same_for_all_conditions():
    model = made("llama", "neurons")
    hot = {"sampling": Sampling(temperature=1.5, seed=3)}
    one, other, edited = texts(model, [[], [], [Edit(2, -1, 7, value=0.05)]], **hot)
    assert ids(one) == ids(other) == ids(texts(model, [[]], **hot)[0])
    assert ids(edited)[0] == ids(one)[0], "the same luck, unless the edit decides otherwise"
    many = {tuple(ids(texts(model, [[]], sampling=Sampling(1.5, seed=s))[0])) for s in range(6)}
    assert len(many) >= 4
    first = [ids(texts(model, [[]], n_tokens=1, sampling=Sampling(1.0, seed=s))[0])[0] for s in range(300)]
    probabilities = torch.softmax(model.record(model.token_ids(PROMPT)).logits, 0)
    likeliest = int(probabilities.argmax())
    share, spread = first.count(likeliest) / 300, (float(probabilities.max()) / 300) ** 0.5
    assert share == pytest.approx(float(probabilities.max()), abs=4 * spread)
    cut = [ids(texts(model, [[]], n_tokens=1, sampling=Sampling(3.0, 1e-6, s))[0])[0] for s in range(8)]
    assert set(cut) == {likeliest}, "top_p keeps the likeliest alone"


def test_a_condition_ends_at_its_stop_token_and_the_others_go_on(monkeypatch):
    model = made("llama", "neurons")
    monkeypatch.setattr(type(model), "stop_tokens", {-1})
    conditions = [[], [Edit(2, GENERATED, 7, value=30.0)], [Push(1, 8, 9.0, seed=2)]]
    free = texts(model, conditions)
    stop = next(id for id in ids(free[0]) if id not in ids(free[1]))
    monkeypatch.setattr(type(model), "stop_tokens", {stop})
    found = texts(model, conditions)
    end = ids(free[0]).index(stop)
    assert ids(found[0]) == ids(free[0])[: end + 1] and found[0][-1].last
    assert ids(found[1]) == ids(free[1])
    assert [t.logprob for t in found[1]] == pytest.approx([t.logprob for t in free[1]], abs=1e-3)


def test_a_continuation_is_what_the_tokens_add_to_the_prompt(monkeypatch):
    model = made("llama", "neurons")
    prompt = model.token_ids(PROMPT)
    new = model.token_ids("w7 w21 w3")[1:]
    assert model.continuation(prompt, new) == " w7 w21 w3"
    monkeypatch.setattr(type(model), "stop_tokens", {new[-1]})
    assert model.continuation(prompt, new) == " w7 w21" and model.continuation(prompt, []) == ""


def test_text_stays_within_the_model_s_window():
    model = made("gpt2", "neurons")  # learned positions: past the last there are none
    prompt = model.token_ids(PROMPT)
    with pytest.raises(TracerError, match="9 tokens and 248 generated are more than the model's window of 256"):
        list(model.generate(PROMPT, n_tokens=248))
    assert len(list(model.generate(tokens=prompt * 28, n_tokens=4))) == 4


def test_bounds_and_a_stop_leave_the_model_as_it_was():
    model = made("gemma2", "neurons")
    plain = model.record(model.token_ids(PROMPT)).logits
    for options, says in [
        ({"n_tokens": 0}, "ask for 1 to 1,024"),
        ({"n_tokens": 2000}, "ask for 1 to 1,024"),
        ({"conditions": []}, "give 1 to 64"),
        ({"conditions": [[Edit(1, 99, 7, value=1.0)]]}, "outside the prompt"),
    ]:
        with pytest.raises(TracerError, match=says):
            list(model.generate(PROMPT, **options))
    for wrong in ({"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}):
        with pytest.raises(TracerError, match="give"):
            Sampling(**wrong)

    def stop(phase, fraction):
        if phase == "generate" and fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(model.generate(PROMPT, [[], [Edit(1, -1, 7, value=5.0)]], progress=stop))
    assert torch.equal(model.record(model.token_ids(PROMPT)).logits, plain)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.anatomy.model.modules())


@pytest.mark.parametrize("wrong", ["start", "value"])
def test_a_mistake_on_generated_tokens_is_noticed(wrong, monkeypatch):
    if wrong == "start":
        monkeypatch.setattr(module.Ongoing, "acts", lambda self, position: True)
        with pytest.raises(AssertionError):
            test_the_start_of_an_open_end_is_honoured()
    else:
        monkeypatch.setattr(module.Changes, "act", lambda *_, **__: None)
        with pytest.raises(AssertionError):
            test_edits_on_prompt_and_generated_tokens_act_as_in_a_run_from_scratch("llama", "neurons", monkeypatch)


@pytest.mark.parametrize("basis", ["plt relu", "plt topk skip", "clt relu"])
def test_vectors_are_read_once_for_all_generated_tokens(basis, monkeypatch):
    model = made("llama", basis)
    asked = []
    for name in ("reader", "write_vectors"):
        own = getattr(model.basis, name)

        def counted(layer, features, own=own, name=name):
            asked.append(name)
            return own(layer, features)

        monkeypatch.setattr(model.basis, name, counted)
    counts = []
    for n in (2, 9):
        asked.clear()
        list(model.generate(PROMPT, [[Edit(1, slice(4, None), 7, factor=-1)]], n_tokens=n))
        counts.append((asked.count("reader"), asked.count("write_vectors")))
    assert counts[0] == counts[1]
