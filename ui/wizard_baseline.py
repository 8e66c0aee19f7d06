"""What the model says on each prompt before anything is edited: does it show the behaviour at all?

One pass a prompt, beside the page. Where a prompt names no target, it is the likeliest token, and the competitor the
next likeliest: as in a graph, whose first targets they are.
"""

from collections.abc import Iterator, Sequence, Set

import streamlit as st
import torch
from torch import Tensor

from lab import LabError, Prompt
from lab.token_places import next_token
from service import Service, Stream
from tracer import Progress, ReplacementModel, TracerError
from ui.wizard_draft import Asked, Baseline, Writing, asked

LIKELIEST = 20  # tokens among which target and competitor are looked for


def baselines(service: Service, model: ReplacementModel, writing: Writing) -> Stream | None:
    """Takes up what is known by now, and starts what is not. None: all is known."""
    key, stream, wanted = st.session_state.get("wizard_baselines", (None, None, ()))
    fits = f"{model.model_fingerprint} {writing.id}"
    if stream is not None and key != fits:
        stream.cancel()
        stream = None
    if stream is not None:
        writing.baselines |= dict(stream.found())
    missing = tuple(asked(p) for p in writing.prompts if asked(p) not in writing.baselines)
    if not missing:
        return None
    if stream is None or set(missing) - set(wanted):
        if stream is not None:
            stream.cancel()
        most, exact = service.settings.max_tokens, frozenset(writing.exact)
        stream = Stream(
            lambda progress: _passes(model, missing, exact, most, progress), "take fewer or shorter prompts"
        )
        st.session_state["wizard_baselines"] = (fits, stream, missing)
    return stream


def _passes(
    model: ReplacementModel, prompts: Sequence[Asked], exact: Set[Asked], most: int, progress: Progress
) -> Iterator[tuple[Asked, Baseline]]:
    for n, prompt in enumerate(prompts):
        progress("record", n / len(prompts))
        yield prompt, baseline(model, prompt, most, prompt in exact)


def baseline(model: ReplacementModel, prompt: Asked, most: int, exact: bool = False) -> Baseline:
    """`most`: tokens that a prompt may have here. `exact`: its tokens are as they must be; else a space may be missing
    before one."""
    text, target, competitor = prompt
    try:
        ids = model.token_ids(text)
        if len(ids) > most:
            return Baseline(problem=f"{len(ids):,} tokens; the limit is {most:,} (HYPOGRAPH_MAX_TOKENS): shorten it")
        logits = model.record(ids).logits
    except TracerError as problem:
        return Baseline(problem=str(problem))
    own = Prompt(text=text)
    try:
        first = _given(model, own, target, logits, exact) if target else _likeliest(model, own, logits, ())
        avoid = () if first is None else (first,)
        second = _given(model, own, competitor, logits, exact) if competitor else _likeliest(model, own, logits, avoid)
    except (LabError, TracerError) as problem:
        return Baseline(target=target, competitor=competitor, problem=str(problem))
    if first is None or second is None:
        return Baseline(target=target, competitor=competitor, problem="no likely token can be typed: name the tokens")
    (target, a), (competitor, b) = first, second
    return Baseline(
        target=target,
        competitor=competitor,
        logit_difference=float(logits[a].double() - logits[b].double()),
        probability=float(torch.softmax(logits.double(), dim=-1)[a]),
        rank=1 + int((logits > logits[a]).sum()),
    )


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
    model: ReplacementModel, prompt: Prompt, logits: Tensor, avoid: Sequence[tuple[str, int]]
) -> tuple[str, int] | None:
    """The likeliest token that can be written after the prompt, but for `avoid`."""
    taken = {id for _, id in avoid}
    for id in torch.topk(logits, min(LIKELIEST, len(logits))).indices.tolist():
        for text in dict.fromkeys((model.token_text(id), f" {model.token_text(id)}")):
            try:
                if id not in taken and "\x00" not in text and next_token(text, prompt, model.token_ids) == id:
                    return text, id
            except (LabError, TracerError):
                continue
    return None
