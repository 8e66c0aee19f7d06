"""How it is decided: metric, direction, the smallest effect that matters, which prompts are left out."""

import streamlit as st

from lab.hypothesis import SHOW_NOTHING_IS_THERE
from lab.in_words import EFFECTS, METRICS, beyond
from ui.wizard_claim import natural_direction, take_metric
from ui.wizard_draft import BOUNDS, Writing, of_now

DIRECTIONS = {"decrease": "falls", "increase": "rises", "two_sided": "changes, either way"}
RULES = {rule: f"{METRICS[rule].name} {beyond(rule)}" for rule in BOUNDS} | {"none": "none is left out"}


def rules(writing: Writing) -> None:
    tag = f"{writing.id}_{writing.revision}"
    metric, direction, smallest = st.columns([4, 4, 4])
    key = f"wizard_metric_{tag}"
    metric.selectbox(
        "Metric",
        list(METRICS),
        index=list(METRICS).index(writing.metric),
        format_func=lambda metric: METRICS[metric].name,
        key=key,
        help="; ".join(f"{words.name}: the {words.what}" for words in METRICS.values()),
        on_change=of_now(writing, lambda: take_metric(writing, st.session_state[key])),
    )
    tag_metric = f"{tag}_{writing.metric}_{writing.kind}"
    nothing = writing.kind in SHOW_NOTHING_IS_THERE
    options = ["two_sided"] if nothing else ["increase"] if writing.metric == "kl" else list(DIRECTIONS)
    if writing.direction not in options:
        writing.direction = natural_direction(writing)
    writing.direction = direction.selectbox(
        "With the edit it",
        options,
        index=options.index(writing.direction),
        format_func=DIRECTIONS.__getitem__,
        key=f"wizard_direction_{tag_metric}",
        help=f"The metric {EFFECTS[writing.kind]}. Either way: p counts both sides, which takes one more prompt.",
    )
    writing.smallest = smallest.number_input(
        f"By at least ({METRICS[writing.metric].unit})",
        min_value=0.0,
        value=float(writing.smallest),
        format="%g",
        key=f"wizard_smallest_{tag_metric}",
        help="The smallest mean effect that matters: the interval must lie beyond it. For claims that nothing is there:"
        " what counts as nothing.",
    )
    rule, bound = st.columns([5, 7])
    key_rule = f"wizard_rule_{tag}"

    def take_rule() -> None:
        writing.rule = st.session_state[key_rule]
        writing.bound = BOUNDS.get(writing.rule, 0.0)

    rule.selectbox(
        "A prompt is left out if, without the edit, its",
        list(RULES),
        index=list(RULES).index(writing.rule),
        format_func=RULES.__getitem__,
        key=key_rule,
        on_change=of_now(writing, take_rule),
        help="A prompt on which the model doesn't show the behaviour can't lose it. The rule is frozen with the claim.",
    )
    if writing.rule != "none":
        writing.bound = bound.number_input(
            "Bound", value=float(writing.bound), format="%g", key=f"wizard_bound_{tag}_{writing.rule}"
        )
