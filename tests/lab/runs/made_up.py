"""Runs whose figures are made up: no model runs."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from lab import HypothesisBody, HypothesisFile, Lab, Person, Record
from lab.freeze import frozen as freeze
from lab.runs.bodies import (
    ControlFigures,
    DrawnControls,
    DrawnFamily,
    MadeWith,
    PromptFigures,
    Reading,
    RunBody,
    version_hash,
)
from lab.runs.conclude import result
from lab.runs.keeping import Kept
from lab.runs.result import Result
from tests.lab.runs.tiny import hypothesis, prompts

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
NOISE = [0.1, -0.2, 0.0, 0.15, -0.05, 0.2, -0.1, -0.1]
BASE = {"controls": [{"seed": 5, "sets": 39}], "smallest_effect": 0.5}
EDIT = {"settings": [{"supernode": "set", "primary": -1, "others": [0, 2]}]}
TWO_CIRCUITS = {  # with BASE, a claim of equivalence
    "kind": "equivalence",
    "direction": "two_sided",
    "second_circuit": [{"name": "other", "nodes": [{"layer": 2, "feature": 8}]}],
    "intervention": {"settings": [*EDIT["settings"], {"supernode": "other", "primary": 0, "others": [0.5, 2]}]},
}


def made(body: HypothesisBody, **freezing: Any) -> RunBody:
    told = {"record": "r", "version": 1, "previous": None, "time": NOON, "author": "Ada"} | freezing
    file = HypothesisFile(hypothesis=body, freeze=freeze(body, **told))
    with_ = MadeWith(
        model_fingerprint="m", basis_fingerprint="b", engine="2", device="cpu", dtype="float32", versions={}
    )
    return RunBody(title="t", hypothesis=file, hash=version_hash(file), made_with=with_, machine="here")


def figures(body: HypothesisBody, n: int, effect: float, control: float, **changes: Any) -> PromptFigures:
    """Of prompt n: the edit at doses 1, 0.5 and −0.5 does `effect` × dose, control set r about `control`."""
    noise, sets = NOISE[n - 1], sum(family.sets for family in body.controls)
    values = tuple(1.0 + control * math.sin(r + 1) for r in range(sets))
    told: dict[str, Any] = {
        "where": "test",
        "number": n,
        "baseline": Reading(value=1.0, supernodes=(2.0,)),
        "doses": tuple(Reading(value=1 + x * (effect + noise), kl=0.2, supernodes=(1.0,)) for x in (1, 0.5, -0.5)),
        "controls": (ControlFigures(kind="features", values=(values,)),) if sets else (),
        "sizes": (4.0, 2.0, -2.0),
    }
    return PromptFigures(**told | changes)


def kept(body: HypothesisBody, found: list[PromptFigures], kl: float | None = 0.02) -> Kept:
    if kl is not None:
        reading = Reading(value=kl, kl=kl)
        found = [*found, PromptFigures(where="off-target", number=1, baseline=reading, doses=(reading,), sizes=(1.0,))]
    families = [
        DrawnFamily(
            kind=family.kind,
            wanted=family.sets,
            seeds=tuple(range(family.sets)),
            ratios=(2.0, 0.5, *[1.0] * (family.sets - 2)),
            worst=(0.1, 2.0, *[1.0] * (family.sets - 2)),
            digest="0" * 64,
        )
        for family in body.controls
    ]
    drawn = DrawnControls(families=tuple(families)) if families else None
    return Kept({one.part: one for one in found}, drawn, {})


def decided(effect: float = -2.0, control: float = 0.3, notebook: tuple[float, ...] = (), **changes: Any) -> Result:
    body = hypothesis(**BASE | {"intervention": EDIT} | changes)
    found = [figures(body, n, effect, control) for n in range(1, 9)]
    return result(made(body), NOON + timedelta(hours=1), kept(body, found), notebook)


def ran(lab: Lab, by: Person, record: Record, effect: float, version: int = 1, prompts: int = 9) -> Record[RunBody]:
    """A run of a version, of which so many prompts are kept."""
    file = lab.hypothesis_file(record.id, version, by)
    made_with = made(file.hypothesis).made_with
    body = RunBody(title="t", hypothesis=file, hash=version_hash(file), made_with=made_with, machine="here")
    begun = lab.begin_run(by, body, anew=True)
    whole = kept(file.hypothesis, [figures(file.hypothesis, n, effect, 0.3) for n in range(1, 9)])
    assert whole.drawn is not None
    lab.keep_figures(begun.id, by, whole.drawn)
    for part in [*whole.prompts.values()][:prompts]:
        lab.keep_figures(begun.id, by, part)
    return begun


HOSTILE = '</script><script>alert(1)</script></td>"<b>x</b> [x](javascript:alert(1)) ![i](http://x.example/a.png) | `c`'


def hostile() -> tuple[RunBody, Kept, Result]:
    """A run in all of whose texts somebody tries to be read as something else."""
    asked = [prompt | {"family": f"=1+1 {HOSTILE} {n}"} for n, prompt in enumerate(prompts())]
    asked[0] |= {"text": f"{asked[0]['text']} {HOSTILE}"}
    base = hypothesis(**BASE | {"intervention": EDIT}).model_dump(mode="json")["circuit"]
    circuit = [base[0], base[1] | {"name": HOSTILE}]
    off = [{"text": f"@x w31 {HOSTILE}", "slots": {"name": "w31"}}]
    told = {"title": f"# {HOSTILE}", "claim": f"# one\n\n<p>\n{HOSTILE}", "prompts": asked, "circuit": circuit}
    body = hypothesis(**BASE | {"intervention": EDIT, "off_target": off} | told)
    run = made(body, author=HOSTILE).model_copy(update={"title": f"# {HOSTILE}", "machine": HOSTILE})
    there = kept(body, [figures(body, n, -2.0, 0.3) for n in range(1, 9)])
    return run, there, result(run, NOON + timedelta(hours=1), there)
