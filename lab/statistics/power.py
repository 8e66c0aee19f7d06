"""How likely a run of so many units finds an effect, and how many units that takes."""

from bisect import bisect_left

from statsmodels.stats.power import TTestPower

from lab.errors import LabError
from lab.statistics.checks import share_of

MOST_UNITS = 100_000


def power(d_z: float, units: int, alpha: float = 0.05, two_sided: bool = True) -> float:
    """The chance that a t test of U paired differences rejects at α where their mean is d_z standard deviations.

    P(|T| > t_{1−α/2, U−1}), T noncentral t with U − 1 degrees and noncentrality d_z·√U (Cohen 1988; statsmodels
    `TTestPower`); one-sided P(T > t_{1−α}) in the claimed direction. Sign flips have nearly the same power. Raises
    LabError for fewer than 2 units, α not in 0 … 1 and d_z that is not finite.
    """
    if not abs(d_z) < float("inf") or units < 2:
        raise LabError(
            f"the power of {units} units at d_z = {d_z} can't be computed; give 2 units or more, and a number"
        )
    side = "two-sided" if two_sided else "larger"
    return float(TTestPower().power(d_z, units, share_of(alpha, "α"), alternative=side))


def units_needed(d_z: float, wanted: float = 0.8, alpha: float = 0.05, two_sided: bool = True) -> int:
    """The fewest units with which `power` reaches `wanted`.

    Raises LabError where 100,000 would not do, as for d_z = 0, and for a power or α not in 0 … 1.
    """
    share_of(wanted, "the power")
    size = abs(d_z) if two_sided else d_z
    if not size > 0 or power(size, MOST_UNITS, alpha, two_sided) < wanted:
        raise LabError(
            f"no number of units up to {MOST_UNITS:,} finds an effect of d_z = {d_z:g}; look for a larger one"
        )
    return bisect_left(range(MOST_UNITS), wanted, lo=2, key=lambda units: power(size, units, alpha, two_sided))


def effect_seen(units: int, wanted: float = 0.8, alpha: float = 0.05, two_sided: bool = True) -> float:
    """The least d_z that `units` find with the power `wanted`: `power`, solved for d_z (statsmodels `solve_power`).

    Raises LabError for fewer than 2 units, and for a power or α not in 0 … 1.
    """
    share_of(wanted, "the power")
    power(1.0, units, alpha, two_sided)  # refuses what can't be computed
    side = "two-sided" if two_sided else "larger"
    return float(TTestPower().solve_power(None, units, alpha, wanted, alternative=side))
