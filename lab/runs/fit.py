"""Do figures that come from a file belong to the run that they are said to be of."""

from collections.abc import Iterator
from typing import Any

from lab.errors import LabError
from lab.hypothesis import HypothesisBody
from lab.runs.bodies import DrawnControls, PromptFigures, RunBody, left_out
from lab.runs.keeping import Kept
from tracer.steering.edits import LARGEST


def refuse_unfit(run: RunBody, kept: Kept) -> None:
    """Raises LabError, in one line, for prompts, doses or control sets that the hypothesis doesn't have or that are
    missing, for prompts left out against its rule, and for figures that no computation could go on with."""
    body = run.body
    named = body.model_fingerprint, body.basis_fingerprint
    used = run.made_with.model_fingerprint, run.made_with.basis_fingerprint
    if any(name and name != other for name, other in zip(named, used, strict=True)):
        raise _unfit("they were made with another model, or other features, than it names")
    _check_drawn(body, kept)
    for part, figures in kept.prompts.items():
        there = body.prompts if figures.where == "test" else body.off_target
        if figures.number > len(there) or there[figures.number - 1].use == "discovery":
            raise _unfit(f"{part} is none of its prompts that are run")
        if figures.excluded != left_out(body, figures):
            raise _unfit(f"{part} is left out where its rule keeps it, or the other way round")
        for name, (found, wanted) in _shape(run, kept.drawn, figures).items():
            if found != wanted:
                raise _unfit(f"{part} has {found} {name} where it has {wanted}")
        if not all(abs(number) <= LARGEST for number in _numbers(figures.model_dump())):
            raise _unfit(f"{part} has one that is larger than {LARGEST:.0e}")


def _check_drawn(body: HypothesisBody, kept: Kept) -> None:
    steered = any(figures.where == "test" and not figures.excluded for figures in kept.prompts.values())
    if kept.drawn is None:
        if body.controls and steered:
            raise _unfit("they lack the control sets")
        return
    families = kept.drawn.families
    if [(f.kind, f.wanted) for f in families] != [(f.kind, f.sets) for f in body.controls]:
        raise _unfit("their controls are of other kinds, or another number of sets was wanted")
    for family in families:
        if not 1 <= len(family.seeds) <= family.wanted or {len(family.ratios), len(family.worst)} != {
            len(family.seeds)
        }:
            raise _unfit(f"of the controls of kind {family.kind} sets are missing, or there are too many")
        if not all(1 / LARGEST <= ratio <= LARGEST for ratio in (*family.ratios, *family.worst)):
            raise _unfit(f"of the controls of kind {family.kind} one has no sensible size")


def _shape(run: RunBody, drawn: DrawnControls | None, figures: PromptFigures) -> dict[str, tuple[object, object]]:
    """By name: what there is of it, and what there should be."""
    body = run.body
    in_test, steered = figures.where == "test", not figures.excluded
    n_doses = len(body.intervention.doses) if in_test else 1
    controls: list[object] = []
    if in_test and steered and drawn is not None:
        grid = n_doses if run.full_grid else 1
        for family in drawn.families:
            sets = [len(family.seeds)] * grid
            controls.append((family.kind, sets, sets if body.kind == "mediation" else []))
    watched = len(body.watched()) if in_test and steered else 0
    readings = [reading for reading in (*figures.doses, figures.second, figures.held) if reading is not None]
    return {
        "doses": (len(figures.doses), n_doses * steered),
        "sizes": (len(figures.sizes), n_doses * steered),
        "edits of a second circuit": (figures.second is not None, steered and body.kind == "equivalence"),
        "edits with mediators held": (figures.held is not None, steered and body.kind == "mediation"),
        "controls": (
            [(c.kind, [*map(len, c.values)], [*map(len, c.held)]) for c in figures.controls],
            controls,
        ),
        "watched supernodes": ({len(reading.supernodes) for reading in [figures.baseline, *readings]}, {watched}),
        "metrics on a donor": (
            figures.donor is not None,
            in_test and steered and body.compares_with_donors and figures.donor is not None,
        ),
        "predictions": (figures.predicted is not None, run.predicts and figures.predicted is not None),
    }


def _numbers(told: Any) -> Iterator[float]:
    if isinstance(told, dict):
        told = told.values()
    elif isinstance(told, int | float):
        yield told
        return
    elif told is None or isinstance(told, str):
        return
    for one in told:
        yield from _numbers(one)


def _unfit(why: str) -> LabError:
    return LabError(f"its figures are not of this hypothesis: {why}; take the bundle anew")
