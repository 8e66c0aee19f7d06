"""Each statistic against an independent computation: another library, a formula by hand, or every case counted."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from lab import LabError
from lab.statistics import (
    above_controls,
    agreement,
    by_unit,
    cliffs_delta,
    controls_for,
    corrected,
    d_z,
    dose_response,
    equivalence,
    interval,
    mediation,
    partial_necessity,
    power,
    refuse_out_of_reach,
    sign_consistency,
    sign_flips,
    specificity,
    sufficiency,
    units_for,
    units_needed,
)
from lab.statistics.signs import wilson

RNG = np.random.default_rng(6)
FALLS = -RNG.gamma(4, 0.5, 12)  # twelve logits that an edit lowers, by 2 ± 1
CONTROLS = RNG.normal(-0.3, 0.8, (12, 9))
LONG = np.random.default_rng(7).exponential(1.0, 40)


def test_prompts_of_a_family_count_once() -> None:
    values = [1.0, 2.0, 3.0, 10.0, 20.0]
    assert by_unit(values).tolist() == values
    assert by_unit(values, ["b", "a", "b", None, ""]).tolist() == [2.0, 2.0, 10.0, 20.0]  # None, "": by themselves
    both = by_unit(np.column_stack([values, np.arange(5.0)]), ["b", "a", "b", "c", "c"])
    assert both.tolist() == [[2.0, 1.0], [2.0, 1.0], [15.0, 3.5]]
    with pytest.raises(LabError, match="2 families for 5 prompts"):
        by_unit(values, ["a", "b"])


def test_what_no_outcome_could_reach_is_refused_with_what_is_needed() -> None:
    for alpha, two_sided in itertools.product((0.5, 0.25, 0.1, 0.05, 1 / 32, 0.01, 0.001), (False, True)):
        needed = units_for(alpha, two_sided)
        smallest = [sign_flips(np.arange(1.0, n + 1), two_sided).p for n in (needed, needed - 1) if n]
        assert smallest[0] <= alpha and all(p > alpha for p in smallest[1:])
    for alpha, claims in itertools.product((0.5, 0.1, 0.05, 0.01, 0.003), (1, 3, 20, 50)):
        needed = controls_for(alpha, claims)
        adjusted = [corrected([1 / (r + 1)] + [1.0] * (claims - 1), "bh")[0] for r in (needed, needed - 1)]
        assert adjusted[0] <= alpha * (1 + 1e-9) and adjusted[1] > alpha
    refuse_out_of_reach(0.05, units=5, controls=19)
    with pytest.raises(LabError, match=r"4 units can't reach α = 0.05: .* is 0.062; 5 units are needed"):
        refuse_out_of_reach(0.05, units=4, controls=199)
    with pytest.raises(LabError, match="6 units are needed"):
        refuse_out_of_reach(0.05, units=5, controls=199, two_sided=True)
    with pytest.raises(LabError, match=r"18 control sets .* is 0.053; 19 sets are needed"):
        refuse_out_of_reach(0.05, units=12, controls=18)
    with pytest.raises(LabError, match=r"over 50 claims.* 999 sets are needed"):
        refuse_out_of_reach(0.05, units=12, controls=199, claims=50)


def test_specificity_is_the_rank_among_control_sets() -> None:
    effects = [-3.0, -1.0]
    controls = [[-4.0, -1.0, 2.0, 5.0, -1.0], [-1.0, -1.0, -1.0, 0.0, -3.0]]  # means −2.5, −1, .5, 2.5, −2
    falls = specificity(effects, controls, -1)
    assert (falls.p, falls.as_much, falls.effect) == (3 / 6, 2, -2.0)  # −2.5 and, as a tie counts, −2
    assert falls.controls.tolist() == [-2.5, -1.0, 0.5, 2.5, -2.0]
    rises = specificity(effects, controls, 1)
    assert (rises.p, rises.as_much) == (5 / 6, 4)
    either = specificity(effects, controls, -1, two_sided=True)
    assert (either.p, either.as_much) == (4 / 6, 3)  # 2.5 as well
    assert specificity(np.multiply(effects, -1), controls, 1, two_sided=True).p == either.p


def test_a_tie_up_to_rounding_counts_against_the_claim() -> None:
    effects = np.array([0.1, 0.2, 0.3])
    assert np.mean(effects) != np.mean(effects[::-1])  # the same numbers in another order
    assert specificity(effects, np.column_stack([effects[::-1], effects]), 1).p == 1
    assert sign_flips([0.1, 0.2, 0.3, -0.6]).p == sign_flips([0.3, 0.1, 0.2, -0.6]).p == 9 / 16


def test_cliffs_delta_counts_pairs() -> None:
    pairs = [np.sign(y - c) for y in FALLS for c in CONTROLS.ravel()]
    assert cliffs_delta(FALLS, CONTROLS, 1) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert cliffs_delta(FALLS, CONTROLS, -1) == pytest.approx(-np.mean(pairs), abs=1e-12)
    assert cliffs_delta([3.0, 4.0], [[1.0], [2.0]], 1) == 1
    assert cliffs_delta([1.0, 1.0], [[1.0, 1.0], [1.0, 1.0]], -1) == 0


def test_sign_flips_count_every_pattern() -> None:
    over = above_controls(FALLS, CONTROLS, -1)
    assert over == pytest.approx([CONTROLS[i].mean() - FALLS[i] for i in range(12)])
    for x in (over, FALLS[:7], [1.0, -2.0, 0.0, 4.0]):
        means = [np.dot(signs, x) / len(x) for signs in itertools.product((1, -1), repeat=len(x))]
        one, two = sign_flips(x), sign_flips(x, two_sided=True)
        assert one.p == np.mean(np.array(means) >= np.mean(x) - 1e-9)
        assert two.p == np.mean(np.abs(means) >= abs(np.mean(x)) - 1e-9)
        assert (one.n_flips, one.seed) == (2 ** len(x), None)
    assert sign_flips([2.0]).p == 0.5 and sign_flips([2.0], two_sided=True).p == 1
    assert sign_flips([0.0, 0.0]).p == 1


def test_sign_flips_agree_with_scipy() -> None:
    expected = stats.permutation_test(
        (FALLS[:10] + 1.5,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert sign_flips(FALLS[:10] + 1.5).p == pytest.approx(float(expected.pvalue), abs=1e-12)
    for units, shift, two_sided in ((21, 0.3, False), (33, -0.2, True)):  # of drawn patterns, the same
        x = np.random.default_rng(units).normal(shift, 1, units)
        test = {"permutation_type": "samples", "alternative": "two-sided" if two_sided else "greater"}
        expected = stats.permutation_test((x,), np.mean, n_resamples=99_999, batch=10_000, rng=7, **test)
        assert sign_flips(x, two_sided, seed=7).p == pytest.approx(float(expected.pvalue), abs=1e-12)
    whole = np.resize([3.0, -1.0, 0.0, 2.0], 24)  # ties
    expected = stats.permutation_test((whole,), np.mean, permutation_type="samples", n_resamples=99_999, rng=7)
    assert sign_flips(whole, two_sided=True, seed=7).p == pytest.approx(float(expected.pvalue), abs=1e-12)


def test_twenty_units_are_exact_and_more_are_drawn() -> None:
    x = np.random.default_rng(3).normal(0.4, 1, 21)
    exact, drawn = sign_flips(x[:20]), sign_flips(x, seed=5)
    assert (exact.n_flips, exact.seed) == (2**20, None)
    assert (drawn.n_flips, drawn.seed) == (99_999, 5)
    assert drawn == sign_flips(x, seed=5) and drawn.p != sign_flips(x, seed=6).p
    halves = [
        np.array([np.dot(s, part) for s in itertools.product((1, -1), repeat=len(part))]) for part in (x[:10], x[10:])
    ]
    sums = np.add.outer(*halves)  # all 2^21
    for flips, truth in (
        (drawn, np.mean(sums >= x.sum() - 1e-9)),
        (sign_flips(x, two_sided=True), np.mean(np.abs(sums) >= abs(x.sum()) - 1e-9)),
    ):
        assert flips.p == pytest.approx(truth, abs=4 * math.sqrt(truth / 99_999))
    assert sign_flips(np.ones(21)).p == pytest.approx(1 / 100_000)  # none of the drawn: 1 + 0, not 0


def test_wilsons_interval() -> None:
    for k, n, level in ((20, 20, 0.95), (0, 7, 0.95), (13, 31, 0.9)):
        found = wilson(k, n, level)
        assert (found.low, found.high) == pytest.approx(proportion_confint(k, n, 1 - level, "wilson"), abs=1e-12)
    assert wilson(20, 20).low == pytest.approx(0.839, abs=5e-4)  # study/methods.md §4.3
    signs = sign_consistency([-1.0, -2.0, 0.0, 3.0], -1)
    assert (signs.k, signs.n, signs.share) == (2, 4, 0.5)
    assert sign_consistency([-1.0, -2.0, 0.0, 3.0], 1).k == 1


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_few_units_have_a_t_interval(level: float) -> None:
    for x in (FALLS, LONG[:29], [1.0, 2.0]):
        found = interval(x, level)
        assert (found.low, found.high) == pytest.approx(DescrStatsW(x).tconfint_mean(1 - level), rel=1e-12)
        assert (found.estimate, found.method, found.n, found.seed) == (pytest.approx(np.mean(x)), "t", len(x), None)
    assert d_z(FALLS) == pytest.approx(float(stats.ttest_1samp(FALLS, 0).statistic) / math.sqrt(12), rel=1e-12)


def bca(x: np.ndarray, level: float) -> list[float]:
    """Efron's BCa interval of the mean by his formulas, on draws of its own."""
    means = np.random.default_rng(0).choice(x, (200_000, len(x))).mean(axis=1)
    z0 = stats.norm.ppf((means < x.mean()).mean())
    left_out = np.array([np.delete(x, i).mean() for i in range(len(x))])
    u = left_out.mean() - left_out
    a = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    wide = stats.t.ppf((1 + level) / 2, len(x) - 1) * math.sqrt(len(x) / (len(x) - 1))
    return [float(np.quantile(means, stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))))) for z in (-wide, wide)]


@pytest.mark.parametrize(("n", "level"), [(30, 0.95), (40, 0.9)])
def test_many_units_have_a_bca_interval(n: int, level: float) -> None:
    x = LONG[:n]
    found = interval(x, level, seed=4, resamples=100_000)
    width = found.high - found.low
    assert [found.low, found.high] == pytest.approx(bca(x, level), abs=0.01 * width)
    assert found.high - found.estimate > 1.1 * (found.estimate - found.low)  # the skew, which t doesn't have
    assert (found.method, found.seed, found.n, found.level) == ("BCa", 4, n, level)
    assert interval(x, seed=4) == interval(x, seed=4) != interval(x, seed=5)


def test_dose_response_by_unit() -> None:
    doses = np.array([-0.5, 0.0, 0.5, 1.0, 1.5])
    slopes = np.array([-2.0, -1.0, -3.0, -2.5, -0.2, -1.4])
    effects = slopes[:, None] * doses + np.random.default_rng(1).normal(0, 0.1, (6, 5))
    found = dose_response(doses, effects, -1)
    fitted = [-stats.linregress(doses, effect).slope for effect in effects]
    expected = interval(fitted)
    assert (found.slope.estimate, found.slope.low) == pytest.approx((expected.estimate, expected.low))
    assert found.flips.p == 1 / 64 and found.rank == pytest.approx(1)
    assert dose_response(doses, effects, -1, two_sided=True).flips.p == 2 / 64
    assert dose_response(doses, effects, 1).flips.p == 1
    assert found.below == pytest.approx(-effects[:, 0].mean())
    assert dose_response(doses[2:], effects[:, 2:], -1).below is None
    level = dose_response([1.0, 2.0], [[3.0, 3.1], [3.0, 2.9]], 1)  # as large at every dose: no slope
    assert level.slope.estimate == pytest.approx(0, abs=1e-12) and level.flips.p == 0.75 and level.rank is None


def test_equivalence_is_two_one_sided_t_tests() -> None:
    x = np.random.default_rng(2).normal(0.1, 0.4, 14)
    for margin, alpha in ((0.5, 0.05), (0.25, 0.1), (0.01, 0.05)):
        found = equivalence(x, margin, alpha)
        sides = (
            stats.ttest_1samp(x, -margin, alternative="greater").pvalue,
            stats.ttest_1samp(x, margin, alternative="less").pvalue,
        )
        assert found.p == pytest.approx(max(sides), rel=1e-9)
        expected = stats.ttest_1samp(x, 0).confidence_interval(1 - 2 * alpha)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        assert (found.p <= alpha) is (-margin < found.low and found.high < margin)
        assert equivalence(-x, margin, alpha).p == pytest.approx(found.p)


def test_mediation_and_fiellers_interval() -> None:
    y = FALLS
    frozen = 0.3 * y + np.random.default_rng(4).normal(0, 0.3, 12)
    found = mediation(y, frozen)
    assert found.whole == interval(y) and found.mediated == interval(y - frozen)
    assert found.share is not None
    share, low, high = found.share
    assert share == pytest.approx(1 - frozen.mean() / y.mean())
    for bound in (low, high):  # where a t test of mean(m − ρ·y) just rejects
        assert stats.ttest_1samp(y - frozen - bound * y, 0).pvalue == pytest.approx(0.05, rel=1e-6)
    assert low < share < high
    mixed = y - y.mean() + 0.2  # its interval holds 0
    assert mediation(mixed, frozen).share is None


def test_a_share_is_left_out_where_either_interval_holds_zero() -> None:
    for tail, by_bca, by_t in (([4.0, 5.0], True, False), ([-300.0, -400.0], False, True)):
        y = np.concatenate([np.full(28, 0.01 if by_bca else 100.0), tail])
        found = mediation(y, np.random.default_rng(0).normal(0, 0.1, 30))
        assert (found.whole.low > 0, DescrStatsW(y).tconfint_mean()[0] > 0) == (by_bca, by_t)
        assert found.share is None


def test_shis_relaxed_tests() -> None:
    model = np.array([2.0, 4.0])
    close, far = np.array([2.5, 3.5]), np.array([0.0, 1.0])  # losses .25 and 6.5
    random = np.column_stack([[2.5, 4.5]] * 3 + [[0.0, 4.0]] * 47)  # losses .25 (a tie) and 2
    enough = sufficiency(model, close, random)
    assert (enough.k, enough.n, enough.quantile) == (50, 50, 0.9)
    assert enough.p == pytest.approx(0.9**50)
    assert sufficiency(model, far, random).k == 0
    needed = partial_necessity(model, far, random)
    assert needed.k == 50 and needed.p == pytest.approx(0.9**50)
    tied = partial_necessity(model, close, random)
    assert (tied.k, tied.p) == (0, 1)
    some = partial_necessity(model, np.array([0.0, 4.0]), random)
    assert some.k == 3 and some.p == pytest.approx(
        sum(math.comb(50, j) * 0.9**j * 0.1 ** (50 - j) for j in range(3, 51))
    )


def test_shis_critical_counts() -> None:
    """study/methods.md §4.1: with q* = .9, p < .05 takes 49 of 50, 96 of 100, 188 of 200."""
    for n, k in ((50, 49), (100, 96), (200, 188)):
        for wins, significant in ((k, True), (k - 1, False)):
            random = np.where(np.arange(n) < wins, 9.0, 0.0)[None, :]
            assert (sufficiency([0.0], [1.0], random).p < 0.05) is significant


def test_corrections_agree_with_scipy_and_holms_steps() -> None:
    ps = np.array([0.04, 0.001, 0.3, 0.012, 0.012, 0.9])
    assert corrected(ps, "bh") == pytest.approx(stats.false_discovery_control(ps, method="bh"))
    assert corrected(ps, "by") == pytest.approx(stats.false_discovery_control(ps, method="by"))
    steps = np.maximum.accumulate(np.sort(ps) * np.arange(6, 0, -1))
    assert sorted(corrected(ps, "holm")) == pytest.approx(np.minimum(steps, 1))
    assert np.argsort(corrected(ps, "holm"), kind="stable")[0] == 1  # in the order given
    assert corrected(ps, "none").tolist() == ps.tolist()
    with pytest.raises(LabError, match="no correction 'bonferroni'"):
        corrected(ps, "bonferroni")  # type: ignore[arg-type]
    for bad in ([0.5, 1.2], [-0.1]):
        with pytest.raises(LabError, match="between 0 and 1"):
            corrected(bad, "bh")


def test_power_is_that_of_the_noncentral_t() -> None:
    for d, n, alpha in ((0.8, 15, 0.05), (0.3, 40, 0.01), (-0.5, 12, 0.05)):
        t, shift = stats.t.ppf(1 - alpha / 2, n - 1), d * math.sqrt(n)
        two_sided = stats.nct.sf(t, n - 1, shift) + stats.nct.cdf(-t, n - 1, shift)
        assert power(d, n, alpha) == pytest.approx(two_sided, abs=1e-9)
        one_sided = stats.nct.sf(stats.t.ppf(1 - alpha, n - 1), n - 1, shift)
        assert power(d, n, alpha, two_sided=False) == pytest.approx(one_sided, abs=1e-9)


@pytest.mark.parametrize(("d", "units"), [(1.5, 6), (1.0, 10), (0.8, 15), (-0.8, 15), (0.5, 34), (0.3, 90), (0.2, 199)])
def test_units_for_80_per_cent_power(d: float, units: int) -> None:
    """study/methods.md §4.3."""
    assert units_needed(d) == units
    assert power(d, units) >= 0.8 > power(d, units - 1)


def test_power_that_no_number_of_units_gives() -> None:
    assert units_needed(50.0) == 2 and units_needed(0.8, two_sided=False) == 12
    for d, two_sided in ((0.0, True), (1e-4, True), (-0.8, False), (math.nan, True)):
        with pytest.raises(LabError, match=r"look for a larger one|can't be computed"):
            units_needed(d, two_sided=two_sided)
    with pytest.raises(LabError, match="1 units"):
        power(0.5, 1)


def test_agreement_of_predicted_and_measured() -> None:
    p = np.array([-8.2, 1.0, 0.5, -2.0, 3.0, 0.0])
    m = np.array([-7.6, 1.4, -0.2, -1.0, 2.0, 0.0])
    found = agreement(p, m)
    ranks = stats.rankdata(p), stats.rankdata(m)
    assert found.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert (found.slope, found.intercept) == pytest.approx(tuple(np.polyfit(p, m, 1)))
    assert found.cosine == pytest.approx(p @ m / math.sqrt((p @ p) * (m @ m)))
    assert found.nmse == pytest.approx(((p - m) ** 2).sum() / (m @ m))
    assert (found.signs.k, found.signs.n) == (5, 6)  # 0 and 0 agree
    half = agreement(m / 2, m)
    assert (half.slope, half.intercept) == pytest.approx((2, 0)) and half.nmse == pytest.approx(0.25)
    opposite = agreement(-m, m)
    assert (opposite.spearman, opposite.cosine, opposite.nmse) == pytest.approx((-1, -1, 4))


def test_agreement_says_where_it_is_not_defined() -> None:
    m = np.array([1.0, 2.0, 3.0])
    nothing = agreement([0.0, 0.0, 0.0], m)
    assert (nothing.spearman, nothing.slope, nothing.intercept, nothing.cosine, nothing.nmse) == (
        None,
        None,
        None,
        None,
        1,
    )
    still = agreement(m, [0.0, 0.0, 0.0])
    assert (still.spearman, still.slope, still.cosine, still.nmse) == (None, 0, None, None)


NAN, INF = math.nan, math.inf
ONES = [1.0] * 12


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: by_unit([1.0, NAN, 2.0]), "number 2 of the effects of prompts is not finite"),
        (lambda: by_unit([]), "0 effects of prompts: at least 1"),
        (lambda: by_unit([[1.0, 2.0], [3.0]]), "not all numbers"),
        (lambda: by_unit(1.0), "shape"),
        (lambda: interval([1.0, INF]), "number 2 .* not finite"),
        (lambda: interval([1e200, 1.0]), "number 1 .* not finite"),
        (lambda: interval([1.0]), "at least 2 units"),
        (lambda: interval(["a", "b"]), "not all numbers"),
        (lambda: interval(ONES), "all effects are 1: .* finer metric"),
        (lambda: interval([0.1 + 0.2] * 6 + [0.3] * 6), "finer metric"),  # one number and its rounding
        (lambda: interval(FALLS, level=95), "level is 95; it must lie between 0 and 1"),
        (lambda: d_z([0.0, 0.0]), "finer metric"),
        (lambda: specificity([1.0], np.empty((1, 0)), 1), "no effects of control sets"),
        (lambda: specificity([1.0, 2.0], [[1.0, 2.0]], 1), "on 1 units, the edit on 2"),
        (lambda: specificity([1.0], [[NAN, 2.0]], 1), "number 1, 1 of the effects of control sets"),
        (lambda: specificity([1.0], [1.0], 1), "2 axes"),
        (lambda: specificity([1.0], [[1.0]], 0), "a direction is 1"),
        (lambda: cliffs_delta([1.0], np.empty((1, 0)), 1), "no effects of control sets"),
        (lambda: sign_flips([]), "0 values"),
        (lambda: sign_consistency([1.0], 2), "a direction is 1"),
        (lambda: wilson(3, 2), "3 of 2 is no share"),
        (lambda: equivalence(FALLS, 0.0), "above 0"),
        (lambda: equivalence(FALLS, NAN), "above 0"),
        (lambda: equivalence(FALLS, 0.5, alpha=0.5), "1 − 2α"),
        (lambda: equivalence([0.0] * 5, 0.5), "finer metric"),
        (lambda: mediation(FALLS, FALLS[:5]), "12 effects and 5"),
        (lambda: mediation(FALLS, FALLS), "all effects are 0"),
        (lambda: dose_response([1.0, 1.0], np.ones((3, 2)), 1), "2 different doses"),
        (lambda: dose_response([1.0, 2.0], np.ones((3, 3)), 1), "2 doses and effects of 3"),
        (lambda: dose_response([1.0, 2.0], [[1.0, 2.0]], 1), "at least 2 units"),
        (lambda: sufficiency(FALLS, FALLS[:3], CONTROLS[:3]), "12 scores, the circuit 3"),
        (lambda: partial_necessity(FALLS, FALLS, CONTROLS, quantile=1.0), "q\\* is 1.0"),
        (lambda: corrected([], "bh"), "0 p values"),
        (lambda: corrected([NAN], "bh"), "not finite"),
        (lambda: agreement([1.0, 2.0], [1.0, 2.0]), "at least 3"),
        (lambda: agreement([1.0, 2.0, 3.0], FALLS), "3 predicted and 12 measured"),
        (lambda: units_for(0.0), "α is 0.0"),
        (lambda: controls_for(0.05, 0), "0 claims"),
    ],
)
def test_what_can_not_be_computed_is_said_in_one_line(call: Callable[[], object], says: str) -> None:
    with pytest.raises(LabError, match=says) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:The BCa confidence interval", "ignore:invalid value")
def test_effects_too_alike_for_a_bootstrap() -> None:
    with pytest.raises(LabError, match="too alike"):
        interval([0.0] * 29 + [1e-200])
