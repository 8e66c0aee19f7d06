"""The hypothesis that is timed fits the default model, and says how many runs it is."""

import pytest

from benchmarks.hypothesis import hypothesis
from lab.runs.plan import make_plan
from tracer import ReplacementModel


@pytest.mark.default_model
@pytest.mark.parametrize("early", [False, True])
def test_what_is_timed(gemma: ReplacementModel, early: bool) -> None:
    plan = make_plan(hypothesis(gemma, 199, early).with_split(), gemma)
    assert (len(plan.prompts), plan.n_runs) == (12, 12 * (5 + 199))
    lowest = [min(edit.layer for edit in prompt.doses[0]) for prompt in plan.prompts]
    assert set(lowest) == {4 if early else 10}
