"""More of the edit, more of the effect; the edit turned round, the effect turned round."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lab.errors import LabError
from lab.statistics.checks import SAME, numbers, sign_of
from lab.statistics.effect import Interval, interval
from lab.statistics.signs import SignFlips, sign_flips


@dataclass(frozen=True)
class Dose:
    slope: Interval  # of d·effect against the dose, over units: the metric's unit a dose
    flips: SignFlips  # of the units' slopes
    rank: float | None  # Spearman's ρ of the mean effects with the dose; None where they are all the same
    below: (
        float | None
    )  # d·mean effect over doses below 0: of the other sign, if what turns round turns back; None: no such dose


def dose_response(
    doses: ArrayLike, effects: ArrayLike, direction: int, two_sided: bool = False, level: float = 0.95, seed: int = 0
) -> Dose:
    """Each unit's least-squares slope of d·effect on the dose; its mean over units, with interval and sign flips.

    `doses` (K,): 0 is no edit, 1 the frozen edit, −1 as much the other way; `effects` (U, K). A positive slope is what
    the claim says (study/methods.md §4.2.3). The line has an intercept: an effect that is as large at every dose has
    slope 0. Raises LabError for fewer than 2 different doses, fewer than 2 units, slopes that are all the same, and
    numbers that are not finite.
    """
    x, y = numbers(doses, "doses"), numbers(effects, "effects", axes=(2,))
    if y.shape[1] != len(x):
        raise LabError(f"there are {len(x)} doses and effects of {y.shape[1]}; give one effect a dose and unit")
    if len(np.unique(x)) < 2:
        raise LabError("a slope needs at least 2 different doses; add factors to the record")
    y = sign_of(direction) * y
    centred = x - x.mean()
    slopes = y @ centred / (centred @ centred)
    means = y.mean(axis=0)
    varied = np.ptp(means) > SAME * np.abs(means).max()
    return Dose(
        interval(slopes, level, seed),
        sign_flips(slopes, two_sided, seed),
        float(stats.spearmanr(x, means).statistic) if varied else None,
        float(means[x < 0].mean()) if (x < 0).any() else None,
    )
