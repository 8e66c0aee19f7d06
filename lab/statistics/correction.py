"""Several claims in one notebook: p values corrected for their number."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.multitest import multipletests

from lab.errors import LabError
from lab.statistics.checks import numbers

Method = Literal["none", "holm", "bh", "by"]
METHODS = {"holm": "holm", "bh": "fdr_bh", "by": "fdr_by"}  # by their names in statsmodels


def corrected(ps: ArrayLike, method: Method) -> np.ndarray:
    """Adjusted p values (K,), in the order given: a claim holds at α just where its adjusted p ≤ α.

    `holm` (Holm 1979) bounds the chance of any false claim: for a few that are to be confirmed. `bh` (Benjamini &
    Hochberg 1995) bounds the expected share of false ones among those made, for independent or positively dependent p;
    `by` (Benjamini & Yekutieli 2001) under any dependence, as of overlapping supernodes on the same prompts. `none`
    leaves them. Raises LabError for another method, no p, and a p outside 0 … 1.
    """
    values = numbers(ps, "p values")
    if values.min() < 0 or values.max() > 1:
        raise LabError("p values lie between 0 and 1; one of these doesn't")
    if method == "none":
        return values
    if method not in METHODS:
        raise LabError(f"there is no correction {method!r}; there are none, {', '.join(METHODS)}")
    return np.asarray(multipletests(values, method=METHODS[method])[1])
