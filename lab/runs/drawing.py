"""The control sets of a run: each is one set with its own seed, matched over all prompts and applied to all of them."""

import hashlib
import json
from collections.abc import Sequence

from lab.claim import ControlFamily
from lab.errors import LabError
from lab.runs.bodies import DrawnControls, DrawnFamily
from lab.runs.measure import PromptControls
from lab.runs.plan import Plan, PromptPlan
from tracer.errors import Progress, silent
from tracer.replacement import ReplacementModel
from tracer.steering.controls import Control, matched
from tracer.steering.edits import Edit, Push

Drawn = tuple[DrawnControls, dict[str, list[PromptControls]]]
"""What is kept of it, and the sets on each prompt, by its part."""


def draw(model: ReplacementModel, plan: Plan, prompts: Sequence[PromptPlan], progress: Progress = silent) -> Drawn:
    """All families of the record. `prompts`: those that take part, as a set is matched on just these.

    Raises TracerError where not one set of a family can be matched.
    """
    families, sets = [], {prompt.part: list[PromptControls]() for prompt in prompts}
    doses = range(len(plan.body.intervention.doses) if plan.full_grid else 1)
    for n, family in enumerate(plan.body.controls):

        def told(_phase: str, fraction: float, n: int = n) -> None:
            progress("controls", (n + fraction) / len(plan.body.controls))

        by_dose = [_at_dose(model, plan, prompts, family, dose, told) for dose in doses]
        (primary, short), *others = by_dose
        digest = _digest(primary)
        if any(drawn and _digest(drawn) != digest for drawn, _ in others):
            raise LabError(f"controls of kind {family.kind} differ from dose to dose: run without the full grid")
        families.append(
            DrawnFamily(
                kind=family.kind,
                wanted=family.sets,
                seeds=tuple(control.seed for control in primary),
                ratios=tuple(control.ratio for control in primary),
                worst=tuple(control.worst for control in primary),
                short=short,
                digest=digest,
            )
        )
        for i, prompt in enumerate(prompts):
            # at a dose that changes nothing controls change nothing either: the edit itself stands for them
            at_each = [
                [control.prompts[i] for control in drawn] or [list[Edit | Push](prompt.doses[dose])] * len(primary)
                for dose, (drawn, _) in zip(doses, by_dose, strict=True)
            ]
            sets[prompt.part].append(PromptControls(family.kind, at_each))
    return DrawnControls(families=tuple(families)), sets


def _at_dose(
    model: ReplacementModel,
    plan: Plan,
    prompts: Sequence[PromptPlan],
    family: ControlFamily,
    dose: int,
    progress: Progress,
) -> tuple[list[Control], str | None]:
    intervention = plan.body.intervention
    mine = {supernode.name for supernode in plan.body.circuit}
    at_dose = [
        setting.model_copy(update={"primary": amount})
        for setting, amount in zip(intervention.settings, intervention.doses[dose], strict=True)
        if setting.supernode in mine
    ]
    if all(setting.changes_nothing for setting in at_dose):
        return [], None
    found = matched(
        model,
        [prompt.ids for prompt in prompts],
        [prompt.doses[dose] for prompt in prompts],
        family.kind,
        family.sets,
        family.seed,
        protocol=intervention.protocol,
        layers=intervention.layers,
        avoid=plan.avoid,
        progress=progress,
    )
    return found.sets, found.short


def _digest(sets: Sequence[Control]) -> str:
    """Of what was picked, not of how large the writes are: these have rounding errors."""
    told = [[control.seed, [[_picked(edit) for edit in edits] for edits in control.prompts]] for control in sets]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _picked(edit: Edit | Push) -> list[object]:
    if isinstance(edit, Push):
        return [edit.layer, edit.position, "push", edit.seed]
    return [edit.layer, edit.position, edit.feature]
