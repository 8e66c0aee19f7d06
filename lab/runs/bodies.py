"""What is kept of a run of a hypothesis: what it was made on and with, then its figures, prompt by prompt.

Figures are kept, conclusions are not: these are computed from the figures whenever somebody looks (lab/runs/result.py).
"""

from typing import Annotated, Literal

from pydantic import Field

from lab.bodies import Line, Number, Part
from lab.freeze import HypothesisFile, fault
from lab.hypothesis import HypothesisBody
from lab.splits import Sha256
from lab.yaml_text import sha256_of_json

Where = Literal["test", "off-target"]
Count = Annotated[int, Field(ge=1)]


class MadeWith(Part):
    """What the figures follow from besides the hypothesis. A run is gone on with where all of it is the same."""

    model_fingerprint: Line
    basis_fingerprint: Line
    engine: Line
    device: Line
    dtype: Line
    versions: dict[str, Line]  # of Python and the libraries that compute


class RunBody(Part):
    """A run of one version of a hypothesis. `hypothesis` is what ran, as it was then, with its freeze if it has one."""

    title: Line
    hypothesis: HypothesisFile
    hash: Sha256  # of that version, see `version_hash`
    full_grid: bool = False  # controls at all doses, not at the primary one alone
    predicts: bool = False  # a graph of each prompt says beforehand what the edit will do
    made_with: MadeWith
    machine: Line  # on which it began

    @property
    def body(self) -> HypothesisBody:
        """With its prompts split, which a draft's may not be yet."""
        body = self.hypothesis.hypothesis
        return body if body.split.hash is not None else body.with_split()

    def same_as(self, other: "RunBody") -> bool:
        """One can be gone on with as the other: all is the same but the machine."""
        return self == other.model_copy(update={"machine": self.machine})


def version_hash(file: HypothesisFile) -> str:
    """Of what was frozen, if that holds, its hash; of anything else the SHA-256 of its text."""
    if file.freeze is not None and fault(file.hypothesis, file.freeze) is None:
        return file.freeze.hash
    return sha256_of_json(file.model_dump_json(exclude_none=True))


def draft_hash(file: HypothesisFile) -> str:
    """Of the same version before it was frozen; of a draft its own."""
    if file.freeze is None:
        return version_hash(file)
    return version_hash(HypothesisFile(hypothesis=file.hypothesis, parent=file.freeze.previous))


def run_hashes(file: HypothesisFile) -> list[str]:
    """Those that runs of a version may have: as it is, as it was frozen if it was changed since, and as a draft."""
    frozen = [] if file.freeze is None else [file.freeze.hash]
    return list(dict.fromkeys([version_hash(file), *frozen, draft_hash(file)]))


class Reading(Part):
    """The next token after one prompt, without edits or with some. What the prompt names no token for is None."""

    value: Number  # the hypothesis's metric
    logit_difference: Number | None = None  # nats: target less competitor
    probability: Number | None = None  # of the target
    rank: Count | None = None  # of the target, 1 for the likeliest
    kl: Number = 0.0  # nats, from without edits to with them
    supernodes: tuple[Number, ...] = ()  # of each watched one the sum of its activations, see `Plan.watched`


class ControlFigures(Part):
    """The metric under each set of one family of controls: by dose (the primary one first), then by set."""

    kind: Line
    values: tuple[tuple[Number, ...], ...]
    held: tuple[tuple[Number, ...], ...] = ()  # of a mediation: the same with the mediators held


class Predicted(Part):
    """By what a graph of the prompt says the edit changes target less competitor, in nats."""

    direct: Number  # by edges from the edited nodes alone
    through: Number  # and through the features between
    missing: Annotated[int, Field(ge=0)]  # edited nodes of which the graph says nothing


class PromptFigures(Part):
    """All that was measured on one prompt. Of one that is left out, or is off-target, only what makes sense there."""

    where: Where
    number: Count  # among the hypothesis's prompts, or its off-target ones
    baseline: Reading
    excluded: bool = False
    doses: tuple[Reading, ...] = ()  # under the edit: the primary dose, then the others
    second: Reading | None = None  # of an equivalence: under the edit of the second circuit
    held: Reading | None = None  # of a mediation: at the primary dose, with the mediators held
    controls: tuple[ControlFigures, ...] = ()
    sizes: tuple[Number, ...] = ()  # of each dose: how far it moves activations along the primary one's move, Σ Δ·Δ₁
    magnitude: Number | None = None  # largest |activation set| / its largest known
    predicted: Predicted | None = None
    # The metric on the prompt's donor without edits, of a claim that `compares_with_donors`. Older runs lack it.
    donor: Number | None = None

    @property
    def part(self) -> str:
        return f"{self.where} {self.number}"


def left_out(body: HypothesisBody, figures: PromptFigures) -> bool:
    """By the record's rule: a test prompt that doesn't show the behaviour without the edit."""
    return figures.where == "test" and body.exclusion.leaves_out(figures.baseline)


class DrawnFamily(Part):
    """The sets of one family that could be matched. `digest`: of which features, tokens and seeds they are made; drawn
    again, they must come out the same, or a run that goes on would mix two."""

    kind: Line
    wanted: Count
    seeds: tuple[int, ...]
    ratios: tuple[Number, ...]  # of each set: own size to the edit's, geometric mean over its features
    worst: tuple[Number, ...]  # of each set: the ratio farthest from 1
    short: str | None = None  # why there are fewer than wanted
    digest: Sha256


class DrawnControls(Part):
    families: tuple[DrawnFamily, ...]

    @property
    def part(self) -> str:
        return "controls"


Figures = PromptFigures | DrawnControls
