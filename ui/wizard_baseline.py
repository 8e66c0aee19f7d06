"""What the model says on each prompt of a draft before anything is edited: one pass a prompt, beside the page."""

from collections.abc import Iterator, Sequence, Set

import streamlit as st

from lab.runs.baseline import Asked, Baseline, asked, baseline
from service import Service, Stream
from tracer import Progress, ReplacementModel, TracerError
from ui.wizard_draft import Writing


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
        yield prompt, told(model, prompt, most, prompt in exact)


def told(model: ReplacementModel, prompt: Asked, most: int, exact: bool = False) -> Baseline:
    """`most`: tokens that a prompt may have on this server."""
    try:
        n = len(model.token_ids(prompt[0]))
    except TracerError as problem:
        return Baseline(problem=str(problem))
    if n > most:
        return Baseline(problem=f"{n:,} tokens; the limit is {most:,} (HYPOGRAPH_MAX_TOKENS): shorten it")
    return baseline(model, prompt, exact)
