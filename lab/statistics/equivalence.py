"""No effect, or two circuits alike: what can be concluded from a small difference, and not from a large p."""

from dataclasses import dataclass

from numpy.typing import ArrayLike
from statsmodels.stats.weightstats import DescrStatsW

from lab.errors import LabError
from lab.statistics.checks import numbers, share_of, spread


@dataclass(frozen=True)
class Equivalence:
    p: float
    estimate: float  # the mean difference; all but p and level in the metric's unit
    low: float  # the interval that lies inside ±margin just where p ≤ α
    high: float
    level: float  # 1 − 2α
    margin: float
    n: int  # units


def equivalence(differences: ArrayLike, margin: float, alpha: float = 0.05) -> Equivalence:
    """TOST: two one-sided t tests of |mean| ≥ margin; p is the larger (Schuirmann 1987; statsmodels `ttost_mean`).

    `differences` (U,): the effects, for "no effect"; for two circuits, one's less the other's on the same units.
    `margin` > 0: the smallest effect that matters, declared before the run. p ≤ α says that the mean lies within
    ±margin; it is not uniform under H0 but for a mean just at the margin. Raises LabError for fewer than 2 units,
    values all the same, a margin ≤ 0, α not in 0 … 0.5 and numbers that are not finite.
    """
    x = numbers(differences, "differences")
    if not margin > 0:
        raise LabError(f"the smallest effect that matters is {margin}; equivalence needs one above 0")
    level = 1 - 2 * share_of(alpha, "α")
    share_of(level, "1 − 2α")
    spread(x, "differences")
    described = DescrStatsW(x)
    low, high = described.tconfint_mean(2 * alpha)
    p = described.ttost_mean(-margin, margin)[0]
    return Equivalence(float(p), float(described.mean), float(low), float(high), level, float(margin), len(x))
