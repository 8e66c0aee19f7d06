"""What the graph predicted against what was measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lab.errors import LabError
from lab.statistics.checks import SAME, numbers
from lab.statistics.signs import Signs, wilson


@dataclass(frozen=True)
class Agreement:
    """None: not defined, as the predictions (or what was measured) are all the same, or all 0."""

    spearman: float | None  # published yardstick: .72, feature to feature
    slope: float | None  # of the least-squares line measured = intercept + slope·predicted
    intercept: float | None
    cosine: float | None  # published: about .8 one layer on
    nmse: (
        float | None
    )  # ‖predicted − measured‖² / ‖measured‖²; published: about .4; 0 is perfect, 1 as good as saying 0
    signs: Signs  # pairs of the same sign, with Wilson's interval


def agreement(predicted: ArrayLike, measured: ArrayLike) -> Agreement:
    """Compares changes (m,) that a graph predicts with those measured, of logits or supernodes, in one unit.

    Measures and yardsticks: study/methods.md §3.3, after the methods paper of circuit tracing (Ameisen et al. 2025). A
    steered node is never among them. Raises LabError for fewer than 3 pairs, unlike lengths, and numbers that are not
    finite.
    """
    p, m = numbers(predicted, "predicted changes", least=3), numbers(measured, "measured changes", least=3)
    if len(p) != len(m):
        raise LabError(f"{len(p)} predicted and {len(m)} measured changes are no pairs; give one each")
    vary = [np.ptp(x) > SAME * np.abs(x).max() for x in (p, m)]
    line = stats.linregress(p, m) if vary[0] else None
    lengths = float(np.linalg.norm(p)), float(np.linalg.norm(m))
    return Agreement(
        spearman=float(stats.spearmanr(p, m).statistic) if all(vary) else None,
        slope=float(line.slope) if line else None,
        intercept=float(line.intercept) if line else None,
        cosine=float(p @ m) / (lengths[0] * lengths[1]) if all(lengths) else None,
        nmse=float(np.sum((p - m) ** 2)) / lengths[1] ** 2 if lengths[1] else None,
        signs=wilson(int(np.count_nonzero(np.sign(p) == np.sign(m))), len(p)),
    )
