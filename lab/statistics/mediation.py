"""How much of an effect goes through a supernode: what is lost when that supernode is held at its baseline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lab.errors import LabError
from lab.statistics.checks import numbers
from lab.statistics.effect import Interval, interval


@dataclass(frozen=True)
class Mediation:
    whole: Interval  # y
    mediated: Interval  # y − y_frozen
    share: tuple[float, float, float] | None  # mediated/whole and Fieller's interval; None where y may be 0


def mediation(effects: ArrayLike, frozen: ArrayLike, level: float = 0.95, seed: int = 0) -> Mediation:
    """y − y_frozen with its interval, and the share 1 − mean(y_frozen)/mean(y) where y's interval excludes 0.

    `effects` (U,) y of the edit, `frozen` (U,) the same edit while the claimed supernode is held at its baseline, both
    in the metric's unit (study/methods.md §4.2.6). The share's interval is Fieller's (1954, JRSS B 16): all ρ that a t
    test of mean(m − ρ·y) = 0 keeps, m = y − y_frozen. It leaves 0 … 1 where something else acts the other way. Raises
    LabError for unlike shapes, fewer than 2 units, values all the same, and numbers that are not finite.
    """
    y, held = numbers(effects, "effects"), numbers(frozen, "effects with the supernode held")
    if len(y) != len(held):
        raise LabError(f"there are {len(y)} effects and {len(held)} with the supernode held; give both a unit")
    whole, mediated = interval(y, level, seed), interval(y - held, level, seed)
    share = _fieller(y - held, y, level) if whole.low > 0 or whole.high < 0 else None
    return Mediation(whole, mediated, share)


def _fieller(m: np.ndarray, y: np.ndarray, level: float) -> tuple[float, float, float] | None:
    """mean(m)/mean(y) and its interval: between the roots of (m̄ − ρȳ)² = t²·var(m − ρy)/U, where that is bounded."""
    covariance = np.cov(m, y) / len(y) * stats.t.ppf((1 + level) / 2, len(y) - 1) ** 2
    a = y.mean() ** 2 - covariance[1, 1]
    b = m.mean() * y.mean() - covariance[0, 1]
    c = m.mean() ** 2 - covariance[0, 0]
    if a <= 0:  # t's interval holds 0, though BCa's does not
        return None
    root = float(np.sqrt(max(0.0, b * b - a * c)))
    return float(m.mean() / y.mean()), float((b - root) / a), float((b + root) / a)
