"""The rule of a verdict, case by case; what it says; what makes a reader doubt it."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from lab import LabError
from lab.statistics import (
    Circumstances,
    Evidence,
    Interval,
    Specificity,
    equivalence,
    interval,
    specificity,
    threats,
    verdict,
)

RUN = Circumstances(units=12, families=True, prompts=12, controls=199, controls_wanted=199)


def between(low: float, high: float, level: float = 0.95) -> Interval:
    return Interval((low + high) / 2, low, high, level, 12, "t", None)


def ranked(as_much: int, controls: int = 199) -> Specificity:
    return Specificity((1 + as_much) / (controls + 1), as_much, -8.0, np.zeros(controls))


def claim(low: float, high: float, as_much: int = 0, **changes: Any) -> Evidence:
    """That the edit lowers the logit by at least 1 nat."""
    given: dict[str, Any] = {
        "kind": "necessity",
        "direction": -1,
        "smallest": 1.0,
        "unit": "nats",
        "alpha": 0.05,
        "circumstances": RUN,
        "interval": between(low, high),
        "specificity": ranked(as_much),
    }
    return Evidence(**given | changes)


@pytest.mark.parametrize(
    ("low", "high", "as_much", "decision"),
    [
        (-9.3, -7.1, 0, "supported"),
        (-9.3, -7.1, 9, "supported"),  # p = .05
        (-9.3, -7.1, 10, "inconclusive"),
        (-9.3, -1.0, 0, "inconclusive"),  # just at the smallest effect that matters
        (-9.3, -1.001, 0, "supported"),
        (-9.3, -0.5, 0, "inconclusive"),
        (-9.3, 3.0, 0, "inconclusive"),
        (-0.9, 0.9, 0, "refuted"),  # inside
        (-1.0, 0.9, 0, "inconclusive"),
        (-0.999, -0.5, 0, "refuted"),  # the right way, too small, whatever controls do
        (-0.5, 4.0, 150, "refuted"),  # inside or on the other side
        (1.2, 4.0, 199, "refuted"),  # on the other side
    ],
)
def test_an_effect_is_decided_by_controls_and_interval(low: float, high: float, as_much: int, decision: str) -> None:
    falls = verdict(claim(low, high, as_much))
    rises = verdict(claim(-high, -low, as_much, direction=1))
    assert falls.decision == rises.decision == decision
    assert falls.sentence.lower().startswith(decision)


def test_with_no_smallest_effect_zero_is_the_bound() -> None:
    assert verdict(claim(-9.0, -0.01, smallest=0.0)).decision == "supported"
    assert "(0 nats)" in verdict(claim(-9.0, -0.01, smallest=0.0)).sentence
    assert verdict(claim(-9.0, 0.0, smallest=0.0)).decision == "inconclusive"
    assert verdict(claim(0.01, 5.0, smallest=0.0)).decision == "refuted"


def small(differences: np.ndarray, margin: float, kind: str = "no_effect", **changes: Any) -> Evidence:
    return claim(
        0,
        0,
        **{
            "kind": kind,
            "smallest": margin,
            "interval": interval(differences),
            "specificity": None,
            "equivalence": equivalence(differences, margin),
            "circumstances": RUN,
        }
        | changes,
    )


@pytest.mark.parametrize("kind", ["no_effect", "equivalence"])
def test_something_small_is_decided_by_tost(kind: str) -> None:
    x = np.linspace(-0.5, 0.5, 12)  # 90 % interval ±.17, 95 % interval ±.21
    assert verdict(small(x, 0.3, kind)).decision == "supported"
    assert verdict(small(x, 0.18, kind)).decision == "supported"  # the 95 % interval would not do
    assert verdict(small(x, 0.15, kind)).decision == "inconclusive"  # a large p of "no effect" proves nothing
    assert verdict(small(x + 1, 0.5, kind)).decision == "refuted"
    assert verdict(small(x - 1, 0.5, kind)).decision == "refuted"
    assert verdict(small(x + 1, 1.0, kind)).decision == "inconclusive"
    assert verdict(small(x + 0.695, 0.5, kind)).decision == "inconclusive"  # beyond by its 90 % interval alone


def test_the_sentence_has_the_figures() -> None:
    assert verdict(claim(-9.3, -7.1)).sentence == (
        "Supported: the effect of -8.2 nats (95 % interval -9.3 to -7.1, 12 families) lies beyond the smallest effect"
        " that matters (-1 nats), and 0 of 199 control sets did as much (p = 0.005, α = 0.05)."
    )
    assert verdict(claim(-9.3, -7.1, 12)).sentence.endswith(
        "lies beyond the smallest effect that matters (-1 nats), but 12 of 199 control sets did as much"
        " (p = 0.065, α = 0.05)."
    )
    assert "may be more or less than the smallest effect" in verdict(claim(-9.3, -0.1)).sentence
    assert "stays short of the smallest effect" in verdict(claim(-0.3, 0.1)).sentence
    assert "goes the other way; 3 of 199" in verdict(claim(2.0, 3.0, 3)).sentence
    assert "3 of 199 control sets did as much either way (p" in verdict(claim(2.0, 3.0, 3, two_sided=True)).sentence
    assert "the mediated effect of" in verdict(claim(-9.3, -7.1, kind="mediation")).sentence
    x = np.linspace(-0.5, 0.5, 12) + 0.01
    assert verdict(small(x, 0.3, "equivalence")).sentence == (
        "Supported: the difference between the circuits of 0.01 nats (90 % interval -0.16 to 0.18, 12 families)"
        " lies within ±0.3 nats, the smallest effect that matters (p = 0.0054, α = 0.05)."
    )
    assert "(95 % interval 0.792 to 1.21, 12 families) lies beyond ±0.5" in verdict(small(x + 0.99, 0.5)).sentence


def test_a_correction_never_makes_it_surer() -> None:
    assert verdict(claim(-9.3, -7.1, 4, corrected=0.06, correction="Holm, 4 claims")).decision == "inconclusive"
    said = verdict(claim(-9.3, -7.1, 4, corrected=0.04, correction="Holm, 4 claims"))
    assert said.decision == "supported" and "(p = 0.04 after Holm, 4 claims, α = 0.05)" in said.sentence
    assert verdict(claim(-9.3, -7.1, 20, corrected=0.01)).decision == "inconclusive"  # raw p = .105
    x = np.linspace(-0.5, 0.5, 12)
    assert verdict(small(x, 0.3, corrected=0.06)).decision == "inconclusive"


def test_too_little_to_go_by_is_inconclusive() -> None:
    few = verdict(claim(-9.3, -7.1, circumstances=dataclasses.replace(RUN, units=4, families=False)))
    assert few.decision == "inconclusive"
    assert few.sentence == "Inconclusive: 4 prompts can't reach α = 0.05, which takes 5."
    five = dataclasses.replace(RUN, units=5)
    assert verdict(claim(-9.3, -7.1, circumstances=five)).decision == "supported"
    assert verdict(claim(-9.3, -7.1, circumstances=five, two_sided=True)).decision == "inconclusive"
    none = verdict(claim(0, 0, interval=None, why_none="all effects are 0: take a finer metric"))
    assert none.sentence == "Inconclusive: all effects are 0: take a finer metric."
    assert verdict(claim(0, 0, kind="no_effect", interval=None)).decision == "inconclusive"
    assert verdict(claim(-9.3, -7.1, specificity=ranked(0, 9))).decision == "inconclusive"  # p = .1 at best


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        (claim(-9, -7, kind="magic"), "no claims of kind 'magic'"),
        (claim(-9, -7, alpha=0.01), "95 % interval is too sure for α = 0.01"),
        (claim(-9, -7, interval=between(-9, -7, 0.5)), "50 % interval is too sure"),
        (claim(-9, -7, specificity=None), "not decided without controls"),
        (claim(-9, -7, smallest=-1.0), "must be 0 or more"),
        (claim(-9, -7, smallest=float("nan")), "must be 0 or more"),
        (claim(-9, -7, direction=0), "a direction is 1"),
        (claim(-9, -7, alpha=0.0), "α is 0.0"),
        (claim(-9, -7, kind="no_effect"), "decided by the TOST"),
        (small(np.linspace(-0.5, 0.5, 12), 0.3, smallest=0.2), "decided by the TOST"),
        (
            small(
                np.linspace(-0.5, 0.5, 12),
                0.3,
                alpha=0.05,
                equivalence=equivalence(np.linspace(-0.5, 0.5, 12), 0.3, 0.1),
            ),
            "decided by the TOST",
        ),
    ],
)
def test_evidence_of_another_record_is_refused(evidence: Evidence, says: str) -> None:
    with pytest.raises(LabError, match=says):
        verdict(evidence)


def test_a_stricter_alpha_takes_a_wider_interval() -> None:
    strict = claim(0, 0, 0, alpha=0.01, interval=between(-9, -7, 0.99))
    assert verdict(strict).decision == "supported"
    assert "(99 % interval" in verdict(strict).sentence


def test_threats_have_thresholds_and_figures() -> None:
    assert threats(RUN) == []

    def found(**changes: Any) -> list[str]:
        return threats(dataclasses.replace(RUN, **changes))

    for changes, says in (
        ({"controls": 57}, "Only 57 of 199 control sets"),
        ({"control_ratio": 1.6}, "1.6 × as large as the edit"),
        ({"control_ratio": 0.6}, "0.6 × as large as the edit"),
        ({"magnitude": 1.3}, "1.3 × the largest activation known"),
        ({"families": False}, "No families are declared"),
        ({"units": 7}, "Few units: 7 families, where 8"),
        ({"prompts": 12, "excluded": 3}, "Behaviour lost: 3 of 12 prompts"),
        ({"off_target_kl": 0.25}, "KL 0.25 nats"),
    ):
        (only,) = found(**changes)
        assert says in only
    assert found(control_ratio=1.5, magnitude=1.0, units=8, prompts=10, excluded=2, off_target_kl=0.1) == []
    assert found(control_ratio=0.67) == []
    assert verdict(claim(-9.3, -7.1, circumstances=dataclasses.replace(RUN, magnitude=2.0))).threats == found(
        magnitude=2.0
    )
    assert "1 family," in found(units=1)[0]


def test_from_effects_to_a_verdict() -> None:
    """As a run does it: one edit that does a lot, twelve prompts, controls that do little."""
    rng = np.random.default_rng(0)
    effects, controls = rng.normal(-8, 1.5, 12), rng.normal(-0.6, 1.3, (12, 199))
    said = verdict(claim(0, 0, interval=interval(effects), specificity=specificity(effects, controls, -1)))
    assert said.decision == "supported" and "0 of 199" in said.sentence
    weak = controls[:, 0]
    said = verdict(claim(0, 0, interval=interval(weak), specificity=specificity(weak, controls[:, 1:], -1)))
    assert said.decision != "supported"
