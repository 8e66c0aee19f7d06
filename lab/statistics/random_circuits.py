"""A circuit against random circuits of its size: Shi et al.'s relaxed tests (NeurIPS 2024, arXiv 2410.13032).

Their p is a binomial one: it comes in steps, and is not uniform under H0. Both compare a circuit with R random ones;
a large p is no evidence against a circuit. With q* = .9, p ≤ .05 takes 96 of 100 wins, or 188 of 200.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lab.errors import LabError
from lab.statistics.checks import controls_of, numbers, share_of

QUANTILE = 0.9  # q*, theirs


@dataclass(frozen=True)
class Wins:
    p: float
    k: int  # random circuits that the circuit beats
    n: int
    quantile: float


def sufficiency(model: ArrayLike, circuit: ArrayLike, random: ArrayLike, quantile: float = QUANTILE) -> Wins:
    """Is the circuit alone nearer to the model than random circuits alone? H0: P(loss(C) ≤ loss(random)) ≤ q*.

    Scores (e.g. logit differences) on the same units: `model` (U,), `circuit` (U,) with the circuit alone, `random`
    (U, R) with a random circuit of the same size alone. loss = mean_u (score − model's score)², k = #{r: loss(C) ≤
    loss(r)}, p = P(Binom(R, q*) ≥ k). Raises LabError for unlike shapes, R = 0, numbers that are not finite, q* not in
    0 … 1.
    """
    loss, others = _losses(model, circuit, random)
    return _binomial(int(np.count_nonzero(loss <= others)), len(others), quantile)


def partial_necessity(model: ArrayLike, without: ArrayLike, random: ArrayLike, quantile: float = QUANTILE) -> Wins:
    """Does removing the circuit do more damage than removing random ones? H0: P(damage(C) > damage(random)) ≤ q*.

    As `sufficiency`, with scores after the circuit (`without`, (U,)) or a random circuit (`random`, (U, R), from the
    whole model or the circuit's complement) is removed; damage = mean_u (score − model's score)²; a tie is no win.
    """
    damage, others = _losses(model, without, random)
    return _binomial(int(np.count_nonzero(damage > others)), len(others), quantile)


def _losses(model: ArrayLike, circuit: ArrayLike, random: ArrayLike) -> tuple[float, np.ndarray]:
    whole, own = numbers(model, "scores of the model"), numbers(circuit, "scores of the circuit")
    others = controls_of(own, random)
    if len(whole) != len(own):
        raise LabError(f"the model has {len(whole)} scores, the circuit {len(own)}; score both on the same units")
    losses = ((np.column_stack([own, others]) - whole[:, None]) ** 2).mean(axis=0)
    return float(losses[0]), losses[1:]


def _binomial(k: int, n: int, quantile: float) -> Wins:
    p = stats.binomtest(k, n, share_of(quantile, "q*"), alternative="greater").pvalue
    return Wins(float(p), k, n, quantile)
