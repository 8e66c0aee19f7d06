"""What a run shows, for a page, a report and the command line. Plain values; how they come about: conclude.py."""

from pydantic import Field

from lab.bodies import Part
from lab.statistics import (
    Agreement,
    Circumstances,
    Dose,
    Equivalence,
    Interval,
    Mediation,
    SignFlips,
    Signs,
    Verdict,
    Wins,
)


class Against(Part):
    """The edit against one family of controls, by unit."""

    kind: str
    wanted: int
    sets: int
    short: str | None  # why there are fewer than wanted
    ratio: float  # own size of what stands in, to what is edited: geometric mean over sets
    worst: float  # of all sets the ratio farthest from 1
    p: float  # specificity
    as_much: int  # sets that did at least as much
    effect: float  # mean over units
    means: tuple[float, ...]  # of each set the same
    cliffs_delta: float
    flips: SignFlips | None  # of d·(effect − mean of the controls')


class PromptLine(Part):
    """One test prompt that is finished. Effects but `effect` are the metric under the edit less that without."""

    number: int
    text: str
    unit: str
    excluded: bool  # it doesn't show the behaviour without the edit
    baseline: float  # the metric
    effect: float | None = None  # what the claim is about: `lab.in_words.what_effect`
    doses: tuple[float, ...] = ()  # effect of each dose
    # Mean effect of the sets of the first family; of a mediation, of what is mediated. None for an equivalence: theirs
    # can't be set beside a difference of two edits.
    controls: float | None = None
    kl: float | None = None  # nats, under the edit
    supernodes: tuple[tuple[float, float], ...] = ()  # of each watched one Σ activations without the edit and with it
    predicted: float | None = None  # effect of the primary dose, by the graph of the prompt
    donor: float | None = None  # the metric on the prompt's donor, without edits


class Findings(Part):
    """The statistics of a run that is complete. What could not be computed is None, and `reasons` says why."""

    direction: int  # 1 or −1; of a claim without direction the one in which the mean effect lies
    two_sided: bool
    circumstances: Circumstances
    interval: Interval | None = None  # of what the claim is about
    d_z: float | None = None
    flips: SignFlips | None = None
    signs: Signs | None = None
    controls: tuple[Against, ...] = ()  # the first family decides
    corrected: float | None = None  # p over the hypotheses of the notebook
    doses: tuple[float, ...] = ()  # in terms of the primary one: 1 is that, 0 no edit
    dose: Dose | None = None
    equivalence: Equivalence | None = None
    mediation: Mediation | None = None
    necessity: Wins | None = None  # Shi et al.'s partial necessity
    sufficiency: Wins | None = None  # and their sufficiency: nearness to the metric on the donors
    agreement: Agreement | None = None  # of what graphs foretold with what was measured, by prompt
    reasons: dict[str, str] = Field(default_factory=dict)


class Result(Part):
    title: str
    hash: str  # of the version that ran
    exploratory: str | None  # why; None: confirmatory
    finished: int  # prompts, off-target ones too
    total: int
    unit: str  # of effects
    watched: tuple[str, ...]  # supernodes that were looked at
    prompts: tuple[PromptLine, ...]
    findings: Findings | None = None  # None before the last prompt is finished: nothing is decided before
    verdict: Verdict | None = None

    @property
    def complete(self) -> bool:
        return self.finished == self.total
