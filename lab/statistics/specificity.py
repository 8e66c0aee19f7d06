"""Does the edit do more than matched control sets do? The rank of its mean effect among theirs gates the verdict."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lab.statistics.checks import at_least, controls_of, numbers, sign_of


@dataclass(frozen=True)
class Specificity:
    p: float
    as_much: int  # control sets that did at least as much in the claimed direction (two-sided: either way)
    effect: float  # the edit's mean over units, in the metric's unit
    controls: np.ndarray  # (R,) each control set's, same unit


def specificity(effects: ArrayLike, controls: ArrayLike, direction: int, two_sided: bool = False) -> Specificity:
    """p = (1 + #{r: d·mean_u c_ur ≥ d·mean_u y_u}) / (R + 1); two-sided with |·| in place of d· (DESIGN §5).

    `effects` (U,) y of the edit, `controls` (U, R) c: control set r is one set, drawn with one seed, applied to all
    prompts. If the edit is a draw from the family of its controls, the R + 1 means are exchangeable, so P(p ≤ α) ≤ α
    whatever prompts and sets share. Sets drawn anew for each prompt break that: their means shrink (false positives
    .26 at .05). Ties count against the claim. Raises LabError for numbers that are not finite, R = 0, unlike shapes.
    """
    y = numbers(effects, "effects")
    c = controls_of(y, controls)
    means = np.column_stack([y, c]).mean(axis=0)  # one order of summation for all: equal columns stay equal
    ranked = np.abs(means) if two_sided else sign_of(direction) * means
    as_much = at_least(ranked[1:], float(ranked[0]))
    return Specificity((1 + as_much) / len(means), as_much, float(means[0]), means[1:])


def cliffs_delta(effects: ArrayLike, controls: ArrayLike, direction: int) -> float:
    """δ = P(d·y > d·c) − P(d·y < d·c) over all pairs of a unit's effect and a control's on any unit, from −1 to 1.

    `effects` (U,), `controls` (U, R). Cliff 1993 (Psychological Bulletin 114); δ = 2W/(m·n) − 1 with Mann–Whitney's W.
    A size, not a test: the pairs are not independent. Raises LabError as `specificity`.
    """
    y = numbers(effects, "effects")
    c = controls_of(y, controls).ravel()
    above = stats.mannwhitneyu(y, c, method="asymptotic").statistic  # pairs with y > c, ties half; its p isn't used
    return sign_of(direction) * float(2 * above / (y.size * c.size) - 1)
