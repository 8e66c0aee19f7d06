"""What a run of a hypothesis does on each prompt: tokens, edits and what is looked at, worked out before anything runs.

Knows the record and the model's tokenizer; computes nothing. What can't be run, or could not be decided whatever came
out, is refused here.
"""

from dataclasses import dataclass

from lab.alignment import misfits
from lab.claim import CircuitNode, Setting, Supernode
from lab.errors import LabError
from lab.hypothesis import SHOW_NOTHING_IS_THERE, HypothesisBody
from lab.prompts import Prompt
from lab.runs.bodies import Where
from lab.splits import units
from lab.statistics import controls_for, refuse_out_of_reach
from lab.token_places import next_token, position
from tracer.replacement import ReplacementModel
from tracer.steering.edits import Donor, Edit, place
from tracer.steering.protocols import choose
from tracer.steering.sites import Place


@dataclass(frozen=True)
class PromptPlan:
    """One prompt. Positions are counted from the start."""

    where: Where
    number: int  # among the hypothesis's prompts, or its off-target ones; the first is 1
    ids: list[int]
    target: int | None  # token ids
    competitor: int | None
    doses: list[list[Edit]]  # the primary one first
    second: list[Edit]  # of an equivalence: the edit of the second circuit
    held: list[Edit]  # of a mediation: mediators, set to what they are without the edit
    donor: list[int] | None  # token ids, where the claim compares with it
    watch: list[Place]  # of the watched supernodes, node by node
    maxima: dict[Place, float]  # the largest known activations of edited nodes, where the record has them

    @property
    def part(self) -> str:
        return f"{self.where} {self.number}"

    @property
    def targets(self) -> list[int]:
        """Token ids that a graph explains which foretells this prompt."""
        return [id for id in (self.target, self.competitor) if id is not None]


@dataclass(frozen=True)
class Plan:
    body: HypothesisBody
    full_grid: bool
    prompts: list[PromptPlan]  # the test prompts: those on which the circuit was found decide nothing
    off_target: list[PromptPlan]
    watched: list[Supernode]

    @property
    def avoid(self) -> set[tuple[int, int]]:
        """What can't be a control, as it is part of the claim: (layer, feature)."""
        return {node.which for supernode in self.body.supernodes() for node in supernode.nodes}

    @property
    def n_runs(self) -> int:
        """Runs of the model with edits, rows of batches: what the time is about proportional to."""
        n_doses, mediates = len(self.body.intervention.doses), self.body.kind == "mediation"
        sets = sum(family.sets for family in self.body.controls)
        controls = sets * (n_doses if self.full_grid else 1) * (1 + mediates)
        each = n_doses + mediates + (self.body.kind == "equivalence") + controls
        return len(self.prompts) * each + len(self.off_target)


def make_plan(body: HypothesisBody, model: ReplacementModel, full_grid: bool = False) -> Plan:
    """Raises LabError for another model than the hypothesis's, prompts that don't fit its tokenizer, and a run whose
    outcome could not reach α; TracerError for edits that are outside the model."""
    _refuse_another_model(body, model)
    tests = units(body.prompts_for("test"))
    if not tests:
        raise LabError("there are no test prompts: the split has put all of them into discovery; add prompts")
    decides = body.kind not in SHOW_NOTHING_IS_THERE
    sets = body.controls[0].sets if decides else controls_for(body.alpha)
    refuse_out_of_reach(body.alpha, len(tests), sets, decides and body.direction == "two_sided")
    if body.kind == "mediation" and body.intervention.protocol in ("direct", "constrained"):
        raise LabError(
            f"mediators can't be held under the protocol {body.intervention.protocol}, which lets nothing write there:"
            " take clamp or free"
        )
    choose(body.intervention.protocol, body.intervention.layers, model.n_layers)
    if found := misfits(body, model.token_ids):
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        raise LabError(f"{found[0]}{more}")
    looked_at = body.watched()
    used = [(n, prompt) for n, prompt in enumerate(body.prompts, start=1) if prompt.use == "test"]
    return Plan(
        body,
        full_grid,
        [_plan_prompt(body, model, "test", n, prompt, looked_at) for n, prompt in used],
        [_plan_prompt(body, model, "off-target", n, prompt, []) for n, prompt in enumerate(body.off_target, start=1)],
        looked_at,
    )


def _refuse_another_model(body: HypothesisBody, model: ReplacementModel) -> None:
    pairs = (
        (body.model_fingerprint, model.model_fingerprint, f"the model {body.model}"),
        (body.basis_fingerprint, model.basis_fingerprint, f"the features {body.features}"),
    )
    for wanted, there, name in pairs:
        if wanted and wanted != there:
            raise LabError(
                f"the hypothesis is about {name} (fingerprint {wanted[:12]}), and {model.name} with"
                f" {model.basis.name} ({there[:12]}) is loaded: load what it names"
            )


def _plan_prompt(
    body: HypothesisBody,
    model: ReplacementModel,
    where: Where,
    number: int,
    prompt: Prompt,
    looked_at: list[Supernode],
) -> PromptPlan:
    ids = model.token_ids(prompt.text)

    def at(node: CircuitNode) -> Place:
        return node.layer, position(node.at, prompt, model.token_ids), node.feature

    def edits(circuit: tuple[Supernode, ...], dose: tuple[float, ...]) -> list[Edit]:
        nodes = {supernode.name: supernode.nodes for supernode in circuit}
        return [
            _edit(setting, amount, node, at(node), prompt, model)
            for setting, amount in zip(body.intervention.settings, dose, strict=True)
            for node in nodes.get(setting.supernode, ())
        ]

    doses = body.intervention.doses if where == "test" else body.intervention.doses[:1]
    compared = where == "test" and body.compares_with_donors
    plan = PromptPlan(
        where=where,
        number=number,
        ids=ids,
        target=None if prompt.target is None else next_token(prompt.target, prompt, model.token_ids),
        competitor=None if prompt.competitor is None else next_token(prompt.competitor, prompt, model.token_ids),
        doses=[edits(body.circuit, dose) for dose in doses],
        second=edits(body.second_circuit, doses[0]),
        held=[Edit(*at(node), factor=1.0) for supernode in body.mediators for node in supernode.nodes],
        donor=model.token_ids(prompt.donor.text) if compared and prompt.donor is not None else None,
        watch=[at(node) for supernode in looked_at for node in supernode.nodes],
        maxima={at(node): node.maximum for node in body.set_nodes() if node.maximum is not None},
    )
    watching = [Edit(*there, factor=1.0) for there in plan.watch]
    place([*plan.doses[0], *plan.second, *plan.held, *watching], len(ids), model.n_layers, model.basis.n_features)
    return plan


def _edit(
    setting: Setting, amount: float, node: CircuitNode, at: Place, prompt: Prompt, model: ReplacementModel
) -> Edit:
    if setting.unit == "factor":
        return Edit(*at, factor=amount)
    if setting.unit == "value":
        return Edit(*at, value=amount)
    if setting.unit == "maximum":
        assert node.maximum is not None  # the record refuses the rest
        return Edit(*at, plus=amount * node.maximum)
    assert prompt.donor is not None
    there = position(node.at, prompt.donor, model.token_ids)
    return Edit(*at, factor=amount, donor=Donor(tuple(model.token_ids(prompt.donor.text)), there))
