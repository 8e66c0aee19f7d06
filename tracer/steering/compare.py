"""Conditions side by side: what each says after its prompt, and how likely the others' words are to it.

The first condition is what the others are compared with. All figures are exact over the whole vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial

import torch
from torch import Tensor

from tracer.errors import Progress, TracerError, silent
from tracer.replacement import ReplacementModel
from tracer.steering.edits import Edit
from tracer.steering.generate import GREEDY, Sampling, Token

ALTERNATIVES = 5


@dataclass(frozen=True)
class Case:
    """A prompt, with edits or without."""

    model: ReplacementModel
    tokens: tuple[int, ...]
    edits: tuple[Edit, ...] = ()
    protocol: str = "clamp"
    layers: tuple[int, int] | None = None

    def generate(self, n_tokens: int, sampling: Sampling = GREEDY, progress: Progress = silent) -> Iterator[Token]:
        return self.model.generate(
            tokens=self.tokens,
            conditions=[self.edits],
            protocol=self.protocol,
            layers=self.layers,
            n_tokens=n_tokens,
            sampling=sampling,
            progress=progress,
        )

    def score(self, text: Sequence[int], progress: Progress = silent) -> Tensor:
        """(n, V) log-probabilities."""
        return self.model.score(
            text,
            tokens=self.tokens,
            edits=self.edits,
            protocol=self.protocol,
            layers=self.layers,
            progress=progress,
        )

    def next_logits(self) -> tuple[Tensor, Tensor]:
        """(V,) each, of the token after the prompt: after the softcap, and before it."""
        if not self.edits:
            record = self.model.record(self.tokens)
            return record.logits, record.raw_logits
        (run,) = self.model.steer_many(
            tokens=self.tokens,
            conditions=[self.edits],
            protocol=self.protocol,
            layers=self.layers,
            generating=True,
        )
        return run.logits, run.raw_logits


@dataclass(frozen=True)
class Said:
    """One token of a condition's text. Log-probabilities are natural, of this token at this place."""

    id: int
    logprob: float  # under its own condition
    first: float | None  # under the first one, after the first's prompt and the same words; None: not comparable
    alternatives: tuple[tuple[int, float], ...]  # the likeliest there under its own condition, with probabilities

    @property
    def change(self) -> float | None:
        return None if self.first is None else self.logprob - self.first


@dataclass(frozen=True)
class Compared:
    """One condition beside the first. The last three are None where the vocabularies are not the same."""

    said: tuple[Said, ...]
    logits: Tensor  # (V,) of the token after the prompt, as the model gives them (after its softcap)
    raw_logits: Tensor  # before the softcap
    perplexity: float  # of its text under itself: exp(−mean log-probability)
    perplexity_first: float | None  # of its text under the first condition
    kl: tuple[float, ...] | None  # at each place of the first's text: see `divergence`
    kl_next: float | None  # of the token after the prompt: the same at the first place

    @property
    def probabilities(self) -> Tensor:
        """(V,), float64, of the token after the prompt."""
        return torch.softmax(self.logits.double(), dim=-1)

    def rank(self, id: int) -> int:
        """1 for the likeliest."""
        return int((self.logits > self.logits[id]).sum()) + 1

    def demeaned(self, id: int) -> float:
        """The logit before any softcap less the mean of all."""
        return float(self.raw_logits[id].double() - self.raw_logits.double().mean())


def compare(cases: Sequence[Case], texts: Sequence[Sequence[int]], progress: Progress = silent) -> list[Compared]:
    """What each condition gives to its own text (token ids, as generated) and to the first one's.

    `progress` hears of phase "compare", and may stop the work. Raises TracerError for what can't be scored.
    """
    if len(cases) != len(texts) or not cases:
        raise TracerError(f"{len(texts)} texts for {len(cases)} conditions; give one for each, and one at least")
    reference = cases[0].score(texts[0])
    found = []
    for at, (case, text) in enumerate(zip(cases, texts, strict=True)):
        told = partial(progress, "compare")
        told(at / len(cases))
        comparable = at == 0 or same_vocabulary(case.model, cases[0].model)
        forced = reference if at == 0 else case.score(texts[0]) if comparable else None
        told((at + 0.5) / len(cases))
        same = list(text) == list(texts[0])
        own = forced if same and forced is not None else case.score(text)
        under = (reference if same else cases[0].score(text)) if comparable else None
        logits, raw = case.next_logits()
        kl = None if forced is None else divergence(reference, forced)
        found.append(
            Compared(
                said=_said(own, under, text),
                logits=logits,
                raw_logits=raw,
                perplexity=_perplexity(own, text),
                perplexity_first=None if under is None else _perplexity(under, text),
                kl=kl,
                kl_next=None if kl is None else kl[0],
            )
        )
    return found


def divergence(reference: Tensor, other: Tensor) -> tuple[float, ...]:
    """KL(reference ‖ other) = Σ p ln(p / q) over the vocabulary, in nats, at each place of one text.

    Both (n, V) log-probabilities of that text, teacher-forced: at place i each distribution follows its own condition's
    prompt and the text's first i tokens. 0 where the conditions expect the same; not symmetric.
    """
    found = []
    for one, two in zip(reference, other, strict=True):  # one place at a time: float64 of all would be large
        p, q = one.double(), two.double()
        found.append(max(0.0, float((p.exp() * (p - q)).sum())))
    return tuple(found)


def same_vocabulary(a: ReplacementModel, b: ReplacementModel) -> bool:
    """Do token ids mean the same in both models?"""
    return a is b or (a.vocab_size == b.vocab_size and a.tokenizer.get_vocab() == b.tokenizer.get_vocab())


def differing(first: Sequence[str], other: Sequence[str]) -> list[bool]:
    """Of each token of `other`: is it outside the parts that the two texts share, in their order?"""
    found = [True] * len(other)
    for block in SequenceMatcher(None, first, other, autojunk=False).get_matching_blocks():
        found[block.b : block.b + block.size] = [False] * block.size
    return found


def _said(own: Tensor, under: Tensor | None, text: Sequence[int]) -> tuple[Said, ...]:
    top = own.topk(min(ALTERNATIVES, own.shape[1]))
    return tuple(
        Said(
            id=id,
            logprob=float(own[i, id]),
            first=None if under is None else float(under[i, id]),
            alternatives=tuple(zip(top.indices[i].tolist(), top.values[i].exp().tolist(), strict=True)),
        )
        for i, id in enumerate(text)
    )


def _perplexity(logprobs: Tensor, text: Sequence[int]) -> float:
    own = logprobs[torch.arange(len(text)), torch.tensor(list(text))]
    return float(own.double().mean().neg().exp())
