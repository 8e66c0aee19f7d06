"""Sign flips of one value a unit, and how many units go the claimed way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lab.errors import LabError
from lab.statistics.checks import at_least, controls_of, numbers, share_of, sign_of

MOST_EXACT = 20  # units: 2^20 sums are 8 MB
DRAWS = 99_999  # beyond: the error of p is below .0007 at .05
AT_ONCE = 100_000  # signs: what a processor's cache holds


@dataclass(frozen=True)
class SignFlips:
    p: float
    n_flips: int  # patterns of signs looked at; 2^U if exact
    seed: int | None  # of the drawn patterns; None: all of them


@dataclass(frozen=True)
class Signs:
    k: int  # units that go the claimed way; an effect of 0 doesn't
    n: int
    low: float  # Wilson's interval of the share
    high: float

    @property
    def share(self) -> float:
        return self.k / self.n


def above_controls(effects: ArrayLike, controls: ArrayLike, direction: int) -> np.ndarray:
    """d·(y_u − mean_r c_ur): (U,), by how much each unit's effect exceeds its controls' mean, in the metric's unit."""
    y = numbers(effects, "effects")
    return sign_of(direction) * (y - controls_of(y, controls).mean(axis=1))


def sign_flips(values: ArrayLike, two_sided: bool = False, seed: int = 0) -> SignFlips:
    """p = #{s: mean(s·x) ≥ mean(x)} / 2^U over all patterns of signs s, two-sided with |mean|; x = `values` (U,).

    Exact up to 2^20 patterns, the real one included; beyond, (1 + k)/(DRAWS + 1) of drawn ones, two-sided twice the
    smaller of both sides'. Valid where each x_u is
    symmetric about 0 under H0 (Fisher 1935; Good 2005, Permutation Tests, §3.2), e.g. for `above_controls`: on these
    prompts, this edit does as much as its controls on average. It says nothing of other sets of the controls' kind:
    that is `specificity`. The smallest p is 2^−U (two-sided 2^(1−U)). Raises LabError for numbers that are not finite.
    """
    x = numbers(values, "values of units")
    if len(x) > MOST_EXACT:
        means, mean = _drawn_means(x, seed), float(x.mean())
        p = (1 + at_least(means, mean)) / (DRAWS + 1)
        if two_sided:
            p = min(1.0, 2 * p, 2 * (1 + at_least(-means, -mean)) / (DRAWS + 1))
        return SignFlips(p, DRAWS, seed)
    sums = np.zeros(1)
    for value in x:  # all 2^U sums, the real one first
        sums = np.concatenate([sums + value, sums - value])
    if two_sided:
        sums = np.abs(sums)
    return SignFlips(at_least(sums, float(sums[0])) / len(sums), len(sums), None)


def _drawn_means(x: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS,) means under the patterns of signs that `scipy.stats.permutation_test` draws, which builds all flipped
    values to get there: for 400 units nine seconds instead of a fraction of one."""
    rng, rows, means = np.random.default_rng(seed), max(1, AT_ONCE // len(x)), np.empty(DRAWS)
    for first in range(0, DRAWS, rows):
        part = means[first : first + rows]
        kept = rng.integers(0, 2**32, (len(part), len(x)), dtype=np.uint32) & 1  # 0: the sign is turned round
        part[:] = (2 * (kept.astype(np.float64) @ x) - x.sum()) / len(x)
    return means


def sign_consistency(effects: ArrayLike, direction: int, level: float = 0.95) -> Signs:
    """How many of U units go the claimed way, with Wilson's score interval (Wilson 1927, JASA 22) of their share."""
    moved = sign_of(direction) * numbers(effects, "effects")
    return wilson(int(np.count_nonzero(moved > 0)), len(moved), level)


def wilson(k: int, n: int, level: float = 0.95) -> Signs:
    """k of n with Wilson's interval. Raises LabError for n < 1, k outside 0 … n and a level outside 0 … 1."""
    if not 0 <= k <= n or n < 1:
        raise LabError(f"{k} of {n} is no share; count at least 1 unit")
    found = stats.binomtest(k, n).proportion_ci(share_of(level, "the level"), method="wilson")
    return Signs(k, n, float(found.low), float(found.high))
