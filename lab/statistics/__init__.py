"""How a claim is decided: pure functions of effects, without page, model or database (DESIGN §5, study/methods.md §4).

Shapes: P prompts, U units (of replication: a family of prompts, or a prompt), R control sets, K doses or claims. An
*effect* is the metric of the edited run less that of the plain run, in the metric's unit; the direction d is 1 or −1.
`by_unit` comes first; all else takes one value a unit. What can't be computed is a LabError that says why, never NaN.
"""

from lab.statistics.agreement import Agreement, agreement
from lab.statistics.correction import corrected
from lab.statistics.dose import Dose, dose_response
from lab.statistics.effect import Interval, d_z, interval
from lab.statistics.equivalence import Equivalence, equivalence
from lab.statistics.mediation import Mediation, mediation
from lab.statistics.power import effect_seen, power, units_needed
from lab.statistics.random_circuits import Wins, partial_necessity, sufficiency
from lab.statistics.reach import controls_for, refuse_out_of_reach, units_for
from lab.statistics.signs import SignFlips, Signs, above_controls, sign_consistency, sign_flips
from lab.statistics.specificity import Specificity, cliffs_delta, specificity
from lab.statistics.threats import Circumstances, threats
from lab.statistics.units import by_unit
from lab.statistics.verdict import Evidence, Verdict, verdict

__all__ = [
    "Agreement",
    "Circumstances",
    "Dose",
    "Equivalence",
    "Evidence",
    "Interval",
    "Mediation",
    "SignFlips",
    "Signs",
    "Specificity",
    "Verdict",
    "Wins",
    "above_controls",
    "agreement",
    "by_unit",
    "cliffs_delta",
    "controls_for",
    "corrected",
    "d_z",
    "dose_response",
    "effect_seen",
    "equivalence",
    "interval",
    "mediation",
    "partial_necessity",
    "power",
    "refuse_out_of_reach",
    "sign_consistency",
    "sign_flips",
    "specificity",
    "sufficiency",
    "threats",
    "units_for",
    "units_needed",
    "verdict",
]
