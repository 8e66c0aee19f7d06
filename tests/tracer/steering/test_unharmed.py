"""After every failure and every cancel the model gives the same logits, to the bit, on every basis."""

from operator import attrgetter

import pytest
import torch

from tests.helpers import PROMPT
from tests.tracer.steering.models import BASES, active, made
from tracer import GENERATED, Cancelled, Donor, Edit, Push, TracerError
from tracer.steering import baseline
from tracer.steering.controls import matched

MANY = 10**6


def failures(model):
    """By name: what is refused, before it runs or while it does."""
    last = len(model.token_ids(PROMPT))
    short = tuple(model.token_ids("w7 w21"))
    places = active(model)
    edit = Edit(*places[0], factor=-1)
    layer, position, feature = places[0]
    everything = [Edit(layer, position, f, value=1.0) for f in range(model.basis.n_features)]
    return {
        "position": lambda: model.steer(PROMPT, [edit, Edit(0, last, 0, value=1.0)]),
        "position before the start": lambda: model.steer(PROMPT, [edit, Edit(0, -last - 1, 0, value=1.0)]),
        "range": lambda: model.steer(PROMPT, [edit, Edit(0, slice(2, last + 1), 0, value=1.0)]),
        "layer": lambda: model.steer(PROMPT, [edit, Edit(3, 0, 0, value=1.0)]),
        "feature": lambda: model.steer(PROMPT, [edit, Edit(0, 0, MANY, value=1.0)]),
        "nan": lambda: model.steer(PROMPT, [Edit(0, 0, 0, value=float("nan"))]),
        "1e30": lambda: model.steer(PROMPT, [Edit(0, 0, 0, factor=1e30)]),
        "push": lambda: list(model.steer_many(PROMPT, [[edit], [Push(0, last, 1.0, seed=1)]])),
        "empty circuit": lambda: model.steer(PROMPT, []),
        "no conditions": lambda: list(model.steer_many(PROMPT, [])),
        "nothing written": lambda: model.steer(
            PROMPT, [Edit(2, position, 0, value=1.0)], protocol="constrained", layers=(0, 1)
        ),
        "protocol": lambda: model.steer(PROMPT, [edit], protocol="luck"),
        "watched": lambda: list(model.steer_many(PROMPT, [[edit]], watch=[(0, last, 0)])),
        "controls of nothing": lambda: matched(model, [model.token_ids(PROMPT)], [Edit(*places[0], factor=1)]),
        "no controls": lambda: matched(model, [model.token_ids(PROMPT)], everything),
        "controls elsewhere": lambda: matched(
            model, [model.token_ids(PROMPT)], [Edit(layer, slice(None), feature, value=1.0)], "positions"
        ),
        "other prompt is shorter": lambda: model.steer(
            PROMPT, [edit, Edit(1, -1, 7, factor=1, donor=Donor(short, last - 1))]
        ),
        "other prompt is empty": lambda: model.steer(PROMPT, [Edit(1, -1, 7, factor=1, donor=Donor((), 0))]),
        "other prompt is no text": lambda: model.steer(PROMPT, [Edit(1, -1, 7, factor=1, donor=Donor((MANY,), 0))]),
        "feature on another prompt": lambda: model.steer(PROMPT, [Edit(1, -1, MANY, factor=1, donor=Donor(short, 0))]),
        "text past the window": lambda: list(model.generate(PROMPT, [[], [edit]], n_tokens=248)),
        "too much text": lambda: list(model.generate(PROMPT, [[], [edit]], n_tokens=MANY)),
        "text with a wrong edit": lambda: list(model.generate(PROMPT, [[edit], [Edit(0, last, 0, value=1.0)]])),
        "generated tokens and none asked for": lambda: model.steer(PROMPT, [Edit(0, GENERATED, 0, value=1.0)]),
        "ladder": lambda: list(model.sweep(PROMPT, [edit], (1, float("nan")))),
    }


def cancels(model):
    """By name: work that is stopped in each of its phases, or given up half way."""
    ids = model.token_ids(PROMPT)
    edit = [Edit(*active(model)[0], factor=-1), Edit(1, slice(3, None), 5, value=2.0)]

    def stopped(work, phase):
        def stop(now, fraction):
            if now == phase and fraction >= 0.3:
                raise Cancelled

        with pytest.raises(Cancelled):
            work(stop)

    works = {
        "runs": (lambda stop: list(model.steer_many(PROMPT, [edit], progress=stop)), ("baseline", "steer")),
        "ladder": (lambda stop: list(model.sweep(PROMPT, edit, progress=stop)), ("baseline", "steer")),
        "controls": (lambda stop: matched(model, [ids], edit, n=3, progress=stop), ("controls",)),
        "text": (
            lambda stop: list(model.generate(PROMPT, [[], edit], n_tokens=5, progress=stop)),
            ("baseline", "steer", "generate"),
        ),
    }
    for name, (work, phases) in works.items():
        for phase in phases:
            yield f"{name}, {phase}", lambda work=work, phase=phase: stopped(work, phase)

    def given_up():
        text, runs = model.generate(PROMPT, [[], edit], n_tokens=5), model.steer_many(PROMPT, [edit, edit])
        next(text), next(runs)
        text.close(), runs.close()

    yield "given up half way", given_up


def _untouched(model, plain):
    assert torch.equal(model.record(model.token_ids(PROMPT)).logits, plain)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.anatomy.model.modules())
    inner, family = model.anatomy.model, model.anatomy.family
    assert [*attrgetter(family.layers)(inner)] == [layer.module for layer in model.anatomy.layers]
    assert attrgetter(family.unembed)(inner) is model.anatomy.unembed
    assert model.anatomy.lock.acquire(blocking=False)
    model.anatomy.lock.release()


@pytest.mark.parametrize("basis", BASES)
def test_every_failure_is_one_line_and_changes_nothing(basis):
    model = made("gemma2", basis)
    plain = model.record(model.token_ids(PROMPT)).logits
    for name, fails in failures(model).items():
        with pytest.raises(TracerError) as caught:
            fails()
        said = str(caught.value)
        assert said and "\n" not in said, name
        _untouched(model, plain)


@pytest.mark.parametrize("basis", BASES)
def test_every_cancel_changes_nothing(basis):
    model = made("gemma2", basis)
    plain = model.record(model.token_ids(PROMPT)).logits
    for _name, cancel in cancels(model):
        cancel()
        _untouched(model, plain)


def test_a_model_that_is_left_changed_is_noticed(monkeypatch):
    """A pass that leaves its hooks behind when it is stopped."""
    model = made("llama", "plt relu")
    plain = model.record(model.token_ids(PROMPT)).logits
    monkeypatch.setattr(baseline.Hooks, "remove", lambda self: None)
    cancel = dict(cancels(model))["runs, baseline"]
    cancel()
    with pytest.raises((AssertionError, Cancelled)):
        _untouched(model, plain)
    for module in model.anatomy.model.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
