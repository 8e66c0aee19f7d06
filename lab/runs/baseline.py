"""What the model says on a prompt before that is in a record: does it show the behaviour at all?

Where a prompt names no target, it is the likeliest token, and the competitor the next likeliest: as in a graph, whose
first targets they are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.errors import LabError
from lab.prompts import Prompt
from lab.runs.next_token import logit_difference, probability, rank
from lab.token_places import next_token
from tracer.errors import TracerError
from tracer.replacement import ReplacementModel

LIKELIEST = 20  # tokens among which target and competitor are looked for

Asked = tuple[str, str | None, str | None]
"""A prompt, with target and competitor as they were given."""


def asked(prompt: Prompt) -> Asked:
    return prompt.text, prompt.target, prompt.competitor


@dataclass(frozen=True)
class Baseline:
    """What the model says on a prompt without the edit. `problem`: why that can't be told."""

    target: str | None = None  # as it must be written, or the likeliest token
    competitor: str | None = None
    logit_difference: float | None = None  # nats
    probability: float | None = None
    rank: int | None = None
    problem: str | None = None


def baseline(model: ReplacementModel, prompt: Asked, exact: bool = False) -> Baseline:
    """One pass. `exact`: the tokens are as they must be; else a space may be missing before one."""
    text, target, competitor = prompt
    try:
        logits = model.record(model.token_ids(text)).logits
    except TracerError as problem:
        return Baseline(problem=str(problem))
    own = Prompt(text=text)
    try:
        first = _given(model, own, target, logits, exact) if target else _likeliest(model, own, logits)
        taken = None if first is None else first[1]
        second = _given(model, own, competitor, logits, exact) if competitor else _likeliest(model, own, logits, taken)
    except (LabError, TracerError) as problem:
        return Baseline(target=target, competitor=competitor, problem=str(problem))
    if first is None or second is None:
        return Baseline(target=target, competitor=competitor, problem="no likely token can be typed: name the tokens")
    (target, a), (competitor, b) = first, second
    return Baseline(target, competitor, logit_difference(logits, a, b), probability(logits, a), rank(logits, a))


def _given(model: ReplacementModel, prompt: Prompt, text: str, logits: Tensor, exact: bool) -> tuple[str, int]:
    """A token as it must be written, and its id: of the two with a space before it and without, the likelier one.

    Raises LabError for what is no token after this prompt.
    """
    found, problem = {}, None
    for way in (text,) if exact or text[0].isspace() else (text, f" {text}"):
        try:
            found[way] = next_token(way, prompt, model.token_ids)
        except (LabError, TracerError) as refused:
            problem = refused
    if not found:
        assert problem is not None
        raise problem
    return max(found.items(), key=lambda item: float(logits[item[1]]))


def _likeliest(
    model: ReplacementModel, prompt: Prompt, logits: Tensor, taken: int | None = None
) -> tuple[str, int] | None:
    """The likeliest token that can be written after the prompt, but for the one that is taken."""
    for id in torch.topk(logits, min(LIKELIEST, len(logits))).indices.tolist():
        for text in dict.fromkeys((model.token_text(id), f" {model.token_text(id)}")):
            try:
                if id != taken and "\x00" not in text and next_token(text, prompt, model.token_ids) == id:
                    return text, id
            except (LabError, TracerError):
                continue
    return None
