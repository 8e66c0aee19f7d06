"""What the statistics promise, kept in simulated runs: rates of false positives, coverage, power.

A quick size in `make test`, the full one in `make soak`, whose figures are in benchmarks/RESULTS.md. Seeds are fixed. A
measured share is compared with what is promised by the binomial law, at one chance in a hundred to be outside.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lab.statistics import (
    Circumstances,
    Evidence,
    above_controls,
    corrected,
    equivalence,
    interval,
    power,
    sign_flips,
    specificity,
    verdict,
)
from lab.statistics.effect import BOOTSTRAP_FROM

UNITS, ALPHA = 12, 0.05
Measured = Callable[[str, float], None]


@pytest.fixture(params=["quick", pytest.param("full", marks=pytest.mark.soak)])
def times(request: pytest.FixtureRequest) -> int:
    """How many times the quick number of simulated claims."""
    return 1 if request.param == "quick" else 20


@pytest.fixture
def measured(times: int, record_property: Callable[[str, Any], None], request: pytest.FixtureRequest) -> Measured:
    def say(what: str, value: float) -> None:
        if times > 1:
            record_property(what, f"{value:.4f}")

    return say


def bounds(n: int, p: float) -> tuple[float, float]:
    """Within which a share of n lies in 99 of 100 cases."""
    low, high = stats.binom.interval(0.99, n, p)
    return low / n, high / n


def sets(rng: np.random.Generator, n: int, prompts: np.ndarray | None = None) -> np.ndarray:
    """(UNITS, n): effects of n feature sets of one family. A set does much or little on all prompts; prompts differ."""
    own = rng.standard_t(5, n)
    prompts = rng.normal(0, 1, (UNITS, 1)) if prompts is None else prompts
    return own + prompts * (1 + 0.5 * own) + rng.normal(0, 1, (UNITS, n))


@pytest.mark.parametrize(
    ("controls", "two_sided", "shift", "seed"), [(199, False, 0, 1), (199, True, -1, 2), (19, False, 0, 3)]
)
def test_specificity_of_a_random_circuit_is_uniform(
    controls: int, two_sided: bool, shift: float, seed: int, times: int, measured: Measured
) -> None:
    rng, n = np.random.default_rng(seed), 1000 * times
    ps = np.empty(n)
    for i in range(n):
        drawn = shift + sets(rng, controls + 1)
        ps[i] = specificity(drawn[:, 0], drawn[:, 1:], -1, two_sided).p
    randomised = ps - rng.uniform(0, 1 / (controls + 1), n)  # p comes in steps of 1/(R + 1)
    uniform, rate = stats.kstest(randomised, "uniform").pvalue, (ps <= ALPHA).mean()
    name = f"specificity, R = {controls}, {'two' if two_sided else 'one'}-sided, {n} random circuits"
    measured(f"{name}: KS p against uniform", uniform)
    measured(f"{name}: rate at .05", rate)
    low, high = bounds(n, ALPHA)
    assert uniform > 0.01
    assert low <= rate <= high
    if controls == 199:
        assert stats.kstest(ps[:400], "uniform").pvalue > 0.01  # as it is, over the first 400


def test_control_sets_drawn_anew_for_each_prompt_would_be_found_out(times: int, measured: Measured) -> None:
    """The mistake that DESIGN §5 names: their means shrink, so any one set stands out."""
    rng, n = np.random.default_rng(4), 200 * times
    wrong = 0
    for _ in range(n):
        each = np.stack([sets(rng, 200)[unit] for unit in range(UNITS)])  # prompt by prompt, 200 other sets
        wrong += specificity(sets(rng, 1)[:, 0], each[:, 1:], -1).p <= ALPHA
    measured(f"specificity with sets drawn anew for each prompt, {n} random circuits: rate at .05", wrong / n)
    assert wrong / n > 3 * ALPHA


@pytest.mark.parametrize("two_sided", [False, True])
def test_sign_flips_hold_their_rate_under_a_symmetric_null(two_sided: bool, times: int, measured: Measured) -> None:
    rng, n = np.random.default_rng(5), 1000 * times
    scale = np.geomspace(0.2, 5, UNITS)  # units need not be alike
    controls = rng.normal(1, 1, (UNITS, 20))
    ps = np.array(
        [
            sign_flips(above_controls(controls.mean(axis=1) + rng.laplace(0, scale), controls, -1), two_sided).p
            for _ in range(n)
        ]
    )
    exact = math.floor(ALPHA * 2**UNITS / (1 + two_sided)) * (1 + two_sided) / 2**UNITS
    low, high = bounds(n, exact)
    uniform, rate = (
        stats.kstest(ps - rng.uniform(0, (1 + two_sided) / 2**UNITS, n), "uniform").pvalue,
        (ps <= ALPHA).mean(),
    )
    name = f"sign flips, {UNITS} units, {'two' if two_sided else 'one'}-sided, {n} symmetric nulls"
    measured(f"{name}: KS p against uniform", uniform)
    measured(f"{name}: rate at .05", rate)
    assert uniform > 0.01 and low <= rate <= high


@pytest.mark.parametrize("method", ["bh", "by"])
def test_the_false_discovery_rate_holds_under_mixtures(method: Any, times: int, measured: Measured) -> None:
    """Twenty claims a notebook, five of them true; a notebook's claims share their prompts."""
    rng, n, claims, true = np.random.default_rng(6), 40 * times, 20, 5
    false_share, found, raw_share = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        ps, prompts = np.empty(claims), rng.normal(0, 1, (UNITS, 1))
        for k in range(claims):
            drawn = sets(rng, 400, prompts)
            drawn[:, 0] += 8 * (k < true)
            ps[k] = specificity(drawn[:, 0], drawn[:, 1:], 1).p
        for shares, values in ((false_share, corrected(ps, method)), (raw_share, ps)):
            held = values <= ALPHA
            shares[i] = held[true:].sum() / max(1, held.sum())
        found[i] = (corrected(ps, method)[:true] <= ALPHA).mean()
    rate, error = false_share.mean(), false_share.std() / math.sqrt(n)
    measured(f"{method.upper()}, {n} notebooks of 20 claims, 5 true: false among those made", rate)
    measured(f"{method.upper()}, the same without correction", raw_share.mean())
    measured(f"{method.upper()}, true claims found", found.mean())
    assert rate <= ALPHA * (claims - true) / claims + 3 * error
    assert raw_share.mean() > ALPHA and found.mean() > 0.5  # there was something to correct, and to find


SYMMETRIC: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "Laplace": lambda rng, n: rng.laplace(0, 1, n),
}


@pytest.mark.parametrize("law", SYMMETRIC)
@pytest.mark.parametrize("units", [12, 15, 20, 30])
def test_intervals_cover_what_they_say(units: int, law: str, times: int, measured: Measured) -> None:
    rng, mean = np.random.default_rng(units), -2.0
    n = (250 if units >= BOOTSTRAP_FROM else 1000) * times
    covered = 0
    for i in range(n):
        found = interval(mean + SYMMETRIC[law](rng, units), seed=i, resamples=499 if times == 1 else 1999)
        covered += found.low <= mean <= found.high
    measured(f"95 % interval ({found.method}), {units} units, {law}, {n} runs: coverage", covered / n)
    assert covered / n >= bounds(n, 0.93)[0]
    assert covered / n <= bounds(n, 0.965)[1]


def test_a_planted_effect_is_found_as_often_as_the_formula_says(times: int, measured: Measured) -> None:
    rng, n, units, d = np.random.default_rng(8), 1000 * times, 15, 0.8
    by_interval = by_flips = 0
    for _ in range(n):
        effects = rng.normal(d * 3, 3, units)
        found = interval(effects)
        by_interval += found.low > 0 or found.high < 0
        by_flips += sign_flips(effects, two_sided=True).p <= ALPHA
    expected = power(d, units)
    measured(f"power at d_z = .8, 15 units, two-sided: formula {expected:.4f}, t over {n} runs", by_interval / n)
    measured("the same, sign flips", by_flips / n)
    low, high = bounds(n, expected)
    assert low <= by_interval / n <= high
    assert low - 0.02 <= by_flips / n <= high  # a little less powerful, if anything


def test_tost_holds_its_rate_at_the_margin(times: int, measured: Measured) -> None:
    """A rate only: away from the margin its p is not uniform, and need not be."""
    rng, n = np.random.default_rng(9), 500 * times
    rate = sum(equivalence(rng.normal(1, 0.5, UNITS), 1.0).p <= ALPHA for _ in range(n)) / n
    measured(f"TOST of an effect just at the margin, {n} runs: rate at .05", rate)
    low, high = bounds(n, ALPHA)
    assert low <= rate <= high


def test_a_random_circuit_is_hardly_ever_supported(times: int, measured: Measured) -> None:
    rng, n = np.random.default_rng(10), 400 * times
    run = Circumstances(units=UNITS, families=True, prompts=UNITS)
    supported = 0
    for _ in range(n):
        drawn = sets(rng, 200)
        evidence = Evidence(
            kind="necessity",
            direction=-1,
            smallest=0.1,
            unit="nats",
            alpha=ALPHA,
            circumstances=run,
            interval=interval(drawn[:, 0]),
            specificity=specificity(drawn[:, 0], drawn[:, 1:], -1),
        )
        supported += verdict(evidence).decision == "supported"
    measured(f"verdicts on {n} random circuits: share supported", supported / n)
    assert supported / n <= bounds(n, ALPHA)[1]
