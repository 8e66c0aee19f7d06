"""What has to be refused before a run, as no outcome could be significant: too few units, too few control sets."""

import math

from lab.errors import LabError
from lab.statistics.checks import TIE, share_of


def units_for(alpha: float, two_sided: bool = False) -> int:
    """The fewest units whose sign flips can reach α: n with 2^−n ≤ α, two-sided 2^(1−n) ≤ α (study/methods.md §4.3)."""
    share_of(alpha, "α")
    return max(1, math.ceil(math.log2(1 / alpha) - TIE)) + two_sided


def controls_for(alpha: float, claims: int = 1) -> int:
    """The fewest control sets R with which one of K claims can reach α after any correction: R + 1 ≥ K/α (§4.3)."""
    share_of(alpha, "α")
    if claims < 1:
        raise LabError(f"{claims} claims need no controls; give at least 1")
    return math.ceil(claims / alpha * (1 - TIE)) - 1


def refuse_out_of_reach(alpha: float, units: int, controls: int, two_sided: bool = False, claims: int = 1) -> None:
    """Raises LabError, with the numbers needed, where no outcome of the run could reach α."""
    needed = units_for(alpha, two_sided)
    if units < needed:
        raise LabError(
            f"{units} units can't reach α = {alpha:g}: the smallest p of their sign flips is "
            f"{min(1.0, 2.0 ** (two_sided - units)):.2g}; {needed} units are needed"
        )
    sets = controls_for(alpha, claims)
    if controls < sets:
        raise LabError(
            f"{controls} control sets can't reach α = {alpha:g}"
            + (f" over {claims} claims" if claims > 1 else "")
            + f": the smallest p is {1 / (controls + 1):.2g}; {sets} sets are needed"
        )
