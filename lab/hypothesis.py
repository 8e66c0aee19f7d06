"""A hypothesis: all that a run and its verdict need, written before it runs. Text, which people and files give."""

from collections import Counter
from collections.abc import Iterator
from math import ceil
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from lab.bodies import Line, Part, Prose
from lab.claim import CircuitNode, ControlFamily, Exclusion, Intervention, Positive, Stop, Supernode, Supernodes, Unit
from lab.prompts import MOST_PROMPTS, Prompt, SlottedText, Use, shown
from lab.splits import Seed, Split, make_split, units

Kind = Literal["necessity", "sufficiency", "mediation", "specificity", "no_effect", "equivalence"]
Metric = Literal["logit_difference", "probability", "rank", "kl"]
Direction = Literal["increase", "decrease", "two_sided"]
Correction = Literal["none", "holm", "bh", "by"]

Claim = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5_000, pattern=r"^[^\x00]*$")]
Fingerprint = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\r\n\x00]*$")]

SHOW_NOTHING_IS_THERE = ("no_effect", "equivalence")


def tokens_needed(metric: str, rule: str) -> tuple[str, ...]:
    """Which of target and competitor each prompt must have, for this metric and this rule of exclusion."""
    both = ("target", "competitor")
    if "logit_difference" in (metric, rule):
        return both
    return () if (metric, rule) == ("kl", "none") else both[:1]


class HypothesisBody(Part):
    """`smallest_effect`: the smallest mean change of the metric that matters, in its unit (nats for logit difference
    and KL, probability, ranks); for claims that nothing is there, what counts as nothing. The change is the metric with
    the edit less that without, or less what the kind compares with (`lab.in_words.EFFECTS`). `seed`: of all drawing
    that split and controls do not do.
    """

    format: Literal[1] = 1  # a field that is added later must be None where it was not: hashes leave None out
    title: Line
    claim: Claim
    kind: Kind
    notes: Prose = ""
    model: Line
    features: Line
    model_fingerprint: Fingerprint = ""  # of what was loaded; a draft may leave it empty
    basis_fingerprint: Fingerprint = ""
    circuit: Supernodes = Field(min_length=1)
    second_circuit: Supernodes = ()  # of an equivalence
    mediators: Supernodes = ()  # of a mediation: held at what they were without the edit
    intervention: Intervention
    prompts: tuple[Prompt, ...] = Field(min_length=1, max_length=MOST_PROMPTS)
    split: Split
    off_target: tuple[Prompt, ...] = Field(default=(), max_length=MOST_PROMPTS)  # where the edit should do little
    metric: Metric = "logit_difference"
    direction: Direction
    smallest_effect: Positive
    controls: tuple[ControlFamily, ...] = Field(default=(), max_length=4)  # the first decides
    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    correction: Correction = "bh"
    notebook: Line | None = None  # the hypotheses over which p is corrected
    exclusion: Exclusion
    stop: Stop
    seed: Seed

    # What a run asks for ----------------------------------------------------------------------------------------------

    def prompts_for(self, use: Use) -> list[Prompt]:
        return [prompt for prompt in self.prompts if prompt.use == use]

    def supernodes(self) -> list[Supernode]:
        """Of both circuits and the mediators; their names differ."""
        return [*self.circuit, *self.second_circuit, *self.mediators]

    def set_nodes(self, *units: Unit) -> list[CircuitNode]:
        """The nodes that the edit sets; only those in these units, if any are given."""
        settings = [setting for setting in self.intervention.settings if not units or setting.unit in units]
        names = {setting.supernode for setting in settings}
        return [node for supernode in self.supernodes() if supernode.name in names for node in supernode.nodes]

    def watched(self) -> list[Supernode]:
        """What a run looks at: supernodes of which no feature is set, so that none is its own outcome."""
        edited = {node.which for node in self.set_nodes()}
        return [s for s in self.supernodes() if not edited & {node.which for node in s.nodes}]

    @property
    def compares_with_donors(self) -> bool:
        """A claim of sufficiency by interchange: the circuit is what it is on the donor, all else is the prompt's own.
        Where that is enough, the metric comes out as on the donor."""
        settings = self.intervention.settings
        return self.kind == "sufficiency" and all((one.unit, one.primary) == ("donor", 1) for one in settings)

    def texts(self) -> Iterator[tuple[str, SlottedText, list[CircuitNode]]]:
        """Each prompt and donor, as messages name it, with the nodes that must be found on it: all on prompts, those
        that are set or held on off-target ones, those that are set in units of the donor on donors."""
        every = [node for supernode in self.supernodes() for node in supernode.nodes]
        touched = self.set_nodes() + [node for supernode in self.mediators for node in supernode.nodes]
        for where, prompts, nodes in (("", self.prompts, every), ("off-target ", self.off_target, touched)):
            for number, prompt in enumerate(prompts, start=1):
                yield where + shown(number, prompt), prompt, nodes
                if prompt.donor is not None:
                    yield f"the donor of {where}{shown(number, prompt)}", prompt.donor, self.set_nodes("donor")

    def with_split(self) -> "HypothesisBody":
        """The same with its prompts split into discovery and test."""
        prompts, split = make_split(self.prompts, self.split)
        return self.model_copy(update={"prompts": prompts, "split": split})

    def unready(self) -> str | None:
        """Why it can't be frozen yet and what to do; None if it can."""
        if not (self.model_fingerprint and self.basis_fingerprint):
            return "the fingerprints of model and features are missing: load the model and take them from it"
        if self.split.hash is None:
            return "the prompts are not split into discovery and test yet: make the split first"
        n = len(units(self.prompts_for("test")))
        if n < self.stop.fewest_units:
            return (
                f"{n} test prompts or families are fewer than the {self.stop.fewest_units} that the stop rule asks for:"
                " add prompts"
            )
        return None

    # What makes no sense is refused ----------------------------------------------------------------------------------

    @model_validator(mode="after")
    def _circuits(self) -> "HypothesisBody":
        names = [supernode.name for supernode in self.supernodes()]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two supernodes are called {repeated!r}; give each a name of its own")
        for part in (self.circuit, self.second_circuit, self.mediators):
            nodes = [(*node.which, node.at) for supernode in part for node in supernode.nodes]
            if len(set(nodes)) < len(nodes):
                raise ValueError("a node is in two supernodes, or in one twice; leave it in one")
        if (self.kind == "equivalence") != bool(self.second_circuit):
            raise ValueError("second_circuit: a claim of equivalence needs one, and no other claim has one")
        if (self.kind == "mediation") != bool(self.mediators):
            raise ValueError("mediators: a claim of mediation needs them, and no other claim has them")
        return self

    @model_validator(mode="after")
    def _edit(self) -> "HypothesisBody":
        wanted = {setting.supernode for setting in self.intervention.settings}
        allowed = {supernode.name for supernode in (*self.circuit, *self.second_circuit)}
        if strange := sorted(wanted - allowed):
            raise ValueError(f"intervention.settings: there is no supernode {strange[0]!r} in the circuit to be set")
        for part in (self.circuit, self.second_circuit):
            if part and not wanted & {supernode.name for supernode in part}:
                raise ValueError("intervention.settings: of each circuit a supernode must be set")
        units_of = {setting.supernode: setting.unit for setting in self.intervention.settings}
        for supernode in self.supernodes():
            if units_of.get(supernode.name) == "maximum" and any(node.maximum is None for node in supernode.nodes):
                raise ValueError(f"{supernode.name!r}: in units of the maximum, each node needs its maximum")
        held = [node.which for supernode in self.mediators for node in supernode.nodes]
        if set(held) & {node.which for node in self.set_nodes()}:
            raise ValueError("mediators: a feature that is set can't mediate its own effect; leave it out")
        if held and min(held)[0] <= min(node.layer for node in self.set_nodes()):
            raise ValueError("mediators: they must lie above the lowest layer that is set, or no effect reaches them")
        return self

    @model_validator(mode="after")
    def _prompts(self) -> "HypothesisBody":
        (text, times), *_ = Counter(prompt.text for prompt in (*self.prompts, *self.off_target)).most_common(1)
        if times > 1:
            raise ValueError(f"the prompt {text!r} is there twice; it counts once")
        if len({prompt.family is None for prompt in self.prompts}) > 1:
            raise ValueError("some prompts have a family and some have none; give one to all or to none")
        needed = tokens_needed(self.metric, self.exclusion.rule)
        from_donor = bool(self.set_nodes("donor"))
        for number, prompt in enumerate(self.prompts, start=1):
            for name in needed:
                if getattr(prompt, name) is None:
                    raise ValueError(f"{shown(number, prompt)} has no {name}, which metric or exclusion need")
        for number, prompt in enumerate((*self.prompts, *self.off_target), start=1):
            if from_donor and prompt.donor is None:
                raise ValueError(f"{shown(number, prompt)} has no donor, whose activations the edit takes")
        return self

    @model_validator(mode="after")
    def _slots(self) -> "HypothesisBody":
        for name, prompt, nodes in self.texts():
            missing = (node.at.slot for node in nodes if node.at.slot is not None and node.at.slot not in prompt.slots)
            if (slot := next(missing, None)) is not None:
                raise ValueError(f"{name} has no slot {slot!r}, at which the circuit has nodes")
        return self

    @model_validator(mode="after")
    def _split_follows_from_its_seed(self) -> "HypothesisBody":
        made, split = make_split(self.prompts, self.split)
        if any(prompt.use is not None for prompt in self.off_target):
            raise ValueError("off_target: these prompts are in no split; leave their use out")
        if self.split.hash is None:
            if any(prompt.use is not None for prompt in self.prompts):
                raise ValueError("prompts: their use follows from the split; leave it out until the split is made")
        elif (made, split) != (self.prompts, self.split):
            raise ValueError("split: it is not the one that its seed gives; make it anew (without use and hash)")
        return self

    @model_validator(mode="after")
    def _decision(self) -> "HypothesisBody":
        nothing = self.kind in SHOW_NOTHING_IS_THERE
        if nothing and self.direction != "two_sided":
            raise ValueError(f"direction: a claim of {self.kind} looks both ways; give two_sided")
        if self.metric == "kl" and not nothing and self.direction != "increase":
            raise ValueError("direction: without the edit KL is 0, it can't fall; give increase")
        if self.metric == "probability" and self.smallest_effect >= 1:
            raise ValueError("smallest_effect: no probability changes by 1 or more; give less")
        kinds = [family.kind for family in self.controls]
        if len(set(kinds)) < len(kinds):
            raise ValueError("controls: a kind is there twice; give each once")
        if self.controls and (self.controls[0].sets + 1) * self.alpha < 1 - 1e-9:
            raise ValueError(
                f"controls: of {self.controls[0].sets} sets no p is below {1 / (self.controls[0].sets + 1):.3g}; give"
                f" at least {ceil(1 / self.alpha - 1e-9) - 1} sets of the first kind for alpha {self.alpha:g}"
            )
        if not self.controls and not nothing:
            raise ValueError("controls: give at least one kind, or luck can't be told from evidence")
        return self
