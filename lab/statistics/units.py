"""The unit of replication: the family of prompts where one is declared, else the prompt; never a token or a sample."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from lab.errors import LabError
from lab.statistics.checks import numbers


def by_unit(values: ArrayLike, families: Sequence[str | None] | None = None) -> np.ndarray:
    """The mean of each unit's prompts: (P,) → (U,), (P, R) → (U, R), in the order in which the units come first.

    Prompts of one template or entity move together, so they count once (DESIGN §5; study/methods.md §4.3). A prompt
    whose family is None or empty is a unit of its own. Raises LabError for numbers that are not finite and where the
    families are not one a prompt.
    """
    array = numbers(values, "effects of prompts", axes=(1, 2))
    if families is None:
        return array
    if len(families) != len(array):
        raise LabError(f"there are {len(families)} families for {len(array)} prompts; give one a prompt")
    units: dict[Hashable, list[int]] = {}
    for i, family in enumerate(families):
        units.setdefault(family or i, []).append(i)
    return np.stack([array[prompts].mean(axis=0) for prompts in units.values()])
