"""Expected figures beside measured ones. Knows the tokenizer and probabilities, not how they came about."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracer.errors import TracerError
from tracer.replacement import ReplacementModel
from tracer.replications.rows import Changed, Outcome, Sampled, Tolerance
from tracer.steering.steered import Steered

AMONG = 10
"""A token that was published without a figure must be among that many most likely ones."""

Figure = float | str | list[str]


@dataclass(frozen=True)
class Check:
    what: str
    expected: Figure
    measured: Figure
    ok: bool


class Next:
    """The next token's logits (V,), with tokens by the names that a list gives them."""

    def __init__(self, model: ReplacementModel, logits: Tensor) -> None:
        self.model, self.logits = model, logits.double()
        self.probabilities = torch.softmax(self.logits, dim=-1)

    def readings(self, name: str) -> list[int]:
        """The tokens that a name may stand for, the likeliest first: with a space before it, just the one."""
        found = []
        for text in (name, f" {name.strip()}"):
            try:
                found.append(self.model.token_id(text))
            except TracerError:
                continue
        if not found:
            raise TracerError(f"{name!r} is no single token of {self.model.name}; correct the list")
        return sorted(set(found), key=lambda id: -float(self.probabilities[id]))

    def id(self, name: str) -> int:
        return self.readings(name)[0]

    def probability(self, name: str) -> float:
        return float(self.probabilities[self.id(name)])

    def gap(self, a: int, b: int) -> float:
        return float(self.logits[a] - self.logits[b])

    def likeliest(self, n: int) -> list[int]:
        return self.logits.topk(min(n, len(self.logits))).indices.tolist()


def judge_text(when: str, expected: str, text: str) -> Check:
    """A text must go on as published for as long as that is; where it began, spaces do not count."""
    wanted, found = expected.strip(), text.lstrip()[: len(expected.strip())]
    return Check(f"text {when}", wanted, found, found == wanted)


def judge_sampled(when: str, expected: Sampled, texts: Sequence[str]) -> Check:
    """Words that texts begin with, whole: "is" is not the beginning of "issue"."""
    first = [match[0] if (match := re.match(r"\w+|\S", text.lstrip())) else "" for text in texts]
    begin = sum(word in expected.begins for word in first)
    what = f"of {len(texts)} texts {when}, begin with {' or '.join(expected.begins)}"
    return Check(what, f"at least {expected.at_least}", float(begin), begin >= expected.at_least)


def judge_top(when: str, expected: Outcome, found: Next, tolerance: Tolerance) -> list[Check]:
    """Of one run by itself. A token that is named twice stands for its readings one after the other."""
    if not expected.top:
        return []
    named = [(entry, None) if isinstance(entry, str) else entry for entry in expected.top]
    seen: Counter[str] = Counter()
    ids = []
    for name, _ in named:
        readings = found.readings(name)
        ids.append(readings[min(seen[name], len(readings) - 1)])
        seen[name] += 1
    first, figure = named[0]
    equal = [id for (_, p), id in zip(named, ids, strict=True) if id == ids[0] or (p is not None and p == figure)]
    likeliest = found.likeliest(AMONG)
    most = found.model.token_text(likeliest[0])
    checks = [Check(f"most likely {when}", first, most, likeliest[0] in equal)]
    for (name, p), id in zip(named, ids, strict=True):
        if p is not None:
            measured = float(found.probabilities[id])
            checks.append(Check(f"p({name!r}) {when}", p, measured, abs(measured - p) <= tolerance.probability))
    if others := [(name, id) for (name, p), id in zip(named[1:], ids[1:], strict=True) if p is None]:
        there = [name for name, id in others if id in likeliest]
        checks.append(
            Check(f"among the {AMONG} likeliest {when}", [n for n, _ in others], there, len(there) == len(others))
        )
    return checks


def judge_change(expected: Changed, steered: Steered, before: Next, after: Next, tolerance: Tolerance) -> list[Check]:
    """What the edits must have done to the next token, but for what a graph predicts."""
    checks = judge_top("after", expected, after, tolerance)
    most = after.likeliest(1)[0]
    for name in expected.not_top:
        checks.append(
            Check("most likely after", f"not {name!r}", after.model.token_text(most), most not in after.readings(name))
        )
    for names, sign, word in ((expected.rises, 1, "above"), (expected.falls, -1, "below")):
        for name in names:
            was, now = before.probability(name), after.probability(name)
            checks.append(Check(f"p({name!r}) after", f"{word} {was:.4f}", now, sign * (now - was) > 0))
    for gap in expected.gaps:
        a, b = (before.id(name) for name in gap.of)
        was, now = before.gap(a, b), after.gap(a, b)
        wider = gap.becomes == "wider"
        what = "logit of {!r} less that of {!r} after".format(*gap.of)
        checks.append(
            Check(what, f"{'above' if wider else 'below'} {was:.3f}", now, (now > was) if wider else now < was)
        )
    for name, change in expected.delta.items():
        measured = float(steered.delta[before.id(name)])
        checks.append(close(f"change of logit {name!r}", change, measured, tolerance))
    return checks


def judge_activity(name: str, expected: float, now: Tensor, whole: Tensor, tolerance: Tolerance) -> Check:
    """The mean share of a supernode's features, as circuit-tracer's diagrams have it. Raises TracerError for one that
    was silent."""
    if not bool((whole != 0).all()):
        raise TracerError(f"a feature of {name} is silent where it should be whole; correct the list")
    measured = float((now / whole).mean())
    ok = abs(measured - expected) <= tolerance.activity
    return Check(f"activation of {name}, as a share", expected, measured, ok)


def close(what: str, expected: float, measured: float, tolerance: Tolerance) -> Check:
    """Logits."""
    return Check(what, expected, measured, abs(measured - expected) <= tolerance.logit)
