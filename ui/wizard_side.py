"""What stands beside the fields: what is wrong so far, what the model says without the edit, the power; and saving."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from lab import HypothesisBody, LabError, misfits
from lab.freeze import HypothesisFile, write
from lab.prompts import shown
from lab.runs.baseline import Baseline, asked
from lab.runs.plan import make_plan
from lab.splits import units
from lab.statistics import effect_seen, units_for
from service import Service, Stream
from tracer import ReplacementModel, TracerError
from tracer.errors import first_fault
from ui.graph_canvas import pretty_token
from ui.sidebar import plain, sentence
from ui.steer_progress import follow_stream
from ui.steer_run import kept
from ui.wizard_baseline import baselines
from ui.wizard_claim import in_words
from ui.wizard_draft import Writing
from ui.wizard_table import ROW

SHOWN = 8  # problems
MOST_ROWS = 14  # of a table that does not scroll


def made(writing: Writing, model: ReplacementModel) -> tuple[HypothesisBody | None, str | None]:
    """The record as the fields have it, or why it is none."""
    fault = next((fault for fault in writing.faults.values() if fault), None)
    if fault is None and writing.kind == "mediation" and not writing.part("mediators"):
        fault = "choose the mediators among the supernodes"
    if fault is None and writing.kind == "equivalence" and not writing.part("second"):
        fault = "choose the second circuit, a saved one"
    if fault:
        return None, fault
    try:
        return writing.body(model.token_ids, in_words(writing)), None
    except ValidationError as problem:
        return None, first_fault(problem).replace("smallest_effect: it", "the smallest effect that matters")
    except (LabError, TracerError) as problem:
        return None, str(problem)


def problems(body: HypothesisBody, model: ReplacementModel) -> list[str]:
    """Why it can't be frozen and run as it is; none: it can."""
    found = [reason] if (reason := body.unready()) else []
    found += misfits(body, model.token_ids)
    if not found:
        try:
            make_plan(body, model)
        except (LabError, TracerError) as problem:
            found.append(str(problem))
    return found


def power_words(writing: Writing, body: HypothesisBody) -> tuple[bool, str]:
    """Whether α can be reached with the units that are left, and which effects they find."""
    known = [writing.baselines.get(asked(prompt), Baseline()) for prompt in writing.prompts]
    sides, rule = [prompt.use for prompt in body.prompts], body.exclusion
    tests = [n for n, side in enumerate(sides) if side == "test" and not rule.leaves_out(known[n])]
    counted = units([body.prompts[n] for n in tests])
    n, noun = len(counted), "families" if body.prompts[0].family is not None else "prompts"
    needed = units_for(writing.alpha, writing.two_sided)
    if n < needed:
        return False, f"{n} test {noun} can't reach α = {writing.alpha:g}: {needed} are needed, {needed - n} more."
    if n < 2:
        return False, f"{n} test {noun}: add some."
    seen = effect_seen(n, 0.8, writing.alpha, writing.two_sided)
    return True, (
        f"{n} test {noun} find an effect of d_z ≥ {seen:.2g} (mean over standard deviation between them) with 80 %"
        " power."
    )


def checks(service: Service, model: ReplacementModel, writing: Writing) -> HypothesisBody | None:
    """Draws what is wrong and what is known; gives the record, if the fields make one."""
    stream = baselines(service, model, writing)
    body, fault = made(writing, model)
    found: list[str] = []
    with st.container():
        if stream is not None and not stream.over and fault is not None:
            st.info("Being checked: the model runs the prompts.")
        elif fault is not None and (told := _untold(writing)):
            st.warning(_listed("Not whole yet:", told))
        elif fault is not None:
            st.warning(f"Not whole yet: {sentence(fault)}")
        elif body is not None:
            key = f"{model.model_fingerprint} {model.basis_fingerprint} {body!r}"
            found = kept("wizard_problems", key, lambda: problems(body, model))
            if found:
                st.warning(_listed("Can be saved, but not run yet:", found))
            else:
                st.success("Ready to be saved, frozen and run.")
    with st.container():
        if body is not None:
            reached, words = power_words(writing, body)
            (st.caption if reached or found else st.warning)(plain(words))
    with st.container():
        _baselines(writing, body, stream)
    return body


def _untold(writing: Writing) -> list[str]:
    """Prompts on which it can't be told what the model says, and why."""
    known = [(n, prompt, writing.baselines.get(asked(prompt))) for n, prompt in enumerate(writing.prompts, start=1)]
    return [f"{shown(n, prompt)}: {found.problem}" for n, prompt, found in known if found and found.problem]


def _listed(head: str, lines: Sequence[str]) -> str:
    said = [f"- {sentence(line)}" for line in lines[:SHOWN]]
    more = [f"- and {len(lines) - SHOWN:,} more like these"] if len(lines) > SHOWN else []
    return "\n".join([head, *said, *more])


def _baselines(writing: Writing, body: HypothesisBody | None, stream: Stream | None) -> None:
    if not writing.prompts:
        return
    st.markdown(
        "**Without the edit**",
        help="What the model says on each prompt, in one pass each. Where no target is named it is the likeliest token,"
        " and the competitor the next.",
    )
    with st.container():
        if stream is not None:
            follow_stream("wizard_baselines", stream, lambda: "running the prompts", lambda: None, again)
    table = baseline_table(writing, body)
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height="content" if len(table) <= MOST_ROWS else ROW * (MOST_ROWS + 1) + 2,
        placeholder="",
        column_config={
            "prompt": st.column_config.TextColumn(width=130),
            "side": st.column_config.TextColumn(width=70, help="Left out: by the rule, as the model says it now."),
            "next token": st.column_config.TextColumn(width=125, help="Target / competitor."),
            "p": st.column_config.NumberColumn(format="%.3f", width=50, help="Probability of the target."),
            "Δ": st.column_config.NumberColumn(format="%.2f", width=50, help="Its logit less the competitor's; nats."),
            "rank": st.column_config.NumberColumn(width=40, help="Of the target; 1 is the likeliest."),
        },
    )
    unnamed = sum(prompt.target is None for prompt in writing.prompts)
    if unnamed and writing.rule == "logit_difference":
        st.caption(
            f"Prompts that name no target: {unnamed:,}. There the model's likeliest token counts as one, whatever it"
            " is, so that the rule leaves none of them out. Name the targets if one answer is meant."
        )


def again() -> None:
    """After a stop."""
    st.session_state.pop("wizard_baselines", None)


def baseline_table(writing: Writing, body: HypothesisBody | None) -> pd.DataFrame:
    """A row a prompt; `side`: discovery, test, or left out by the rule."""
    rows = []
    for n, prompt in enumerate(writing.prompts):
        known = writing.baselines.get(asked(prompt), Baseline())
        side: str | None = body.prompts[n].use if body is not None else None
        if body is not None and side == "test" and body.exclusion.leaves_out(known):
            side = "left out"
        rows.append(
            {
                "prompt": prompt.text,
                "side": side,
                "next token": " / ".join(pretty_token(text) for text in (known.target, known.competitor) if text),
                "p": known.probability,
                "Δ": known.logit_difference,
                "rank": known.rank,
                "problem": known.problem,
            }
        )
    table = pd.DataFrame(rows)
    return table if table["problem"].notna().any() else table.drop(columns="problem")


def file_of(body: HypothesisBody) -> str:
    """YAML."""
    return write(HypothesisFile(hypothesis=body))
