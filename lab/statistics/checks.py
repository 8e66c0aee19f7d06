"""What every statistic asks of its numbers, and how numbers are compared."""

import numpy as np
from numpy.typing import ArrayLike

from lab.errors import LabError

TIE = 1e-12  # relative: sums of the same numbers in another order differ by about 1e-16 a term
LARGEST = 1e100  # its square is still a number
SAME = 1e-9  # relative: what differs by less is one number and its rounding


def numbers(values: ArrayLike, what: str, axes: tuple[int, ...] = (1,), least: int = 1) -> np.ndarray:
    """Float64 with one of these numbers of axes, at least `least` along the first, all finite, or a LabError."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise LabError(f"the {what} are not all numbers; give one number each") from problem
    if array.ndim not in axes:
        raise LabError(f"the {what} have the shape {array.shape}; {' or '.join(map(str, axes))} axes are needed")
    if len(array) and not array.size:
        raise LabError(f"there are no {what}; at least one a unit is needed")
    if len(array) < least:
        raise LabError(f"{len(array)} {what}: at least {least} are needed; add prompts, or families of prompts")
    bad = np.argwhere(~(np.abs(array) <= LARGEST))  # NaN too
    if len(bad):
        place = ", ".join(str(i + 1) for i in bad[0])
        raise LabError(f"number {place} of the {what} is not finite; run it again, or exclude it by the record's rule")
    return array


def spread(values: np.ndarray, what: str) -> float:
    """The standard deviation (n − 1) of (n,). Raises LabError where there is none to estimate it from."""
    if len(values) < 2:
        raise LabError(f"1 value of the {what} shows no spread; at least 2 units are needed")
    if np.ptp(values) <= SAME * np.abs(values).max():
        raise LabError(f"all {what} are {values[0]:.3g}: their spread can't be estimated; take a finer metric")
    return float(values.std(ddof=1))


def controls_of(effects: np.ndarray, controls: ArrayLike) -> np.ndarray:
    """(U, R) effects of R control sets on the units of `effects` (U,). Raises LabError where they don't match."""
    array = numbers(controls, "effects of control sets", axes=(2,))
    if len(array) != len(effects):
        raise LabError(f"the control sets ran on {len(array)} units, the edit on {len(effects)}; run both on the same")
    return array


def sign_of(direction: int) -> int:
    """The direction d that a claim gives. Raises LabError where it is neither 1 nor −1."""
    if direction not in (1, -1):
        raise LabError(f"a direction is 1 (the metric rises) or -1 (it falls), not {direction}")
    return direction


def share_of(value: float, what: str) -> float:
    """A number strictly between 0 and 1. Raises LabError otherwise."""
    if not 0 < value < 1:
        raise LabError(f"{what} is {value}; it must lie between 0 and 1")
    return float(value)


def at_least(values: np.ndarray, threshold: float) -> int:
    """How many of some values reach a threshold; those that miss it by rounding count, which is the careful side."""
    return int(np.count_nonzero(values >= threshold - TIE * max(abs(threshold), float(np.abs(values).max()))))
