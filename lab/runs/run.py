"""Running a hypothesis: baselines, controls, then prompt by prompt, each kept as soon as it is finished.

A run that was cut off goes on: what is kept is not computed again, and the same record gives the same figures.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from lab.errors import LabError, NotFound
from lab.freeze import HypothesisFile
from lab.lab import Lab
from lab.runs.bodies import PromptFigures, RunBody, version_hash
from lab.runs.drawing import draw
from lab.runs.plan import Plan, make_plan
from lab.runs.steps import Computing, GraphOf, Steps, made_with, parts
from lab.views import Person, Record
from tracer.errors import Progress, silent
from tracer.replacement import ReplacementModel


def begin(
    lab: Lab,
    author: Person,
    file: HypothesisFile,
    model: ReplacementModel,
    *,
    full_grid: bool = False,
    predicts: bool = False,
    anew: bool = False,
    record: str | None = None,
) -> Record[RunBody]:
    """The run of this hypothesis on this model: the one that is there, to go on with, or a new one.

    `full_grid`: controls at all doses too. `predicts`: `run` is given graphs. `record`: of the hypothesis in this lab,
    where the file doesn't say it, as a draft's; the run is as private as that is. Raises LabError and TracerError for
    what can't be run or not be decided, before anything is written.
    """
    return begin_with(lab, author, run_body(file, model, full_grid, predicts), anew, record)


def run_body(file: HypothesisFile, model: ReplacementModel, full_grid: bool = False, predicts: bool = False) -> RunBody:
    """What a run of it on this model is bound to. Raises as `begin` does."""
    hypothesis = file.hypothesis
    body = RunBody(
        title=hypothesis.title,
        hypothesis=file,
        hash=version_hash(file),
        full_grid=full_grid,
        predicts=predicts,
        made_with=made_with(model),
        machine=_machine(model),
    )
    make_plan(body.body, model, full_grid)
    if predicts and hypothesis.metric != "logit_difference":
        raise LabError("graphs foretell logit differences, and this metric is another: run it without")
    return body


def begin_with(
    lab: Lab, author: Person, body: RunBody, anew: bool = False, record: str | None = None
) -> Record[RunBody]:
    """As `begin`, without the model. Raises LabError."""
    visibility = _visibility(lab, author, body.hypothesis) if record is None else lab.get(record, author).visibility
    begun = lab.begin_run(author, body, visibility, anew)
    if visibility == "private" and begun.visibility != "private":  # an old one, from before the hypothesis was
        lab.show_to(begun.id, author, "private")
        return lab.get(begun.id, author)
    return begun


def run(
    lab: Lab,
    author: Person,
    record: Record[RunBody],
    model: ReplacementModel,
    graph_of: GraphOf | None = None,
    progress: Progress = silent,
) -> Iterator[PromptFigures]:
    """Goes on with a run that was begun; gives each prompt's figures once they are kept.

    `graph_of`: for a run that predicts. Raises TracerError and LabError for what can't be run, and whatever `progress`
    raises; what is finished stays.
    """
    return go_on(lab, author, record, Steps(record.head.body, model, graph_of), progress)


def go_on(
    lab: Lab, author: Person, record: Record[RunBody], steps: Computing, progress: Progress = silent
) -> Iterator[PromptFigures]:
    """As `run`, whoever computes."""
    body = record.head.body.body
    tests, off_target = parts(body)
    kept = lab.figures(record.id, author)
    excluded = {part for part in tests if part in kept.prompts and kept.prompts[part].excluded}
    unseen = [part for part in tests if part not in kept.prompts]
    for n, figures in enumerate(steps.baselines(unseen), start=1):
        if figures.excluded:
            excluded.add(figures.part)
            lab.keep_figures(record.id, author, figures)
            yield figures
        progress("baselines", n / len(unseen))
    included = [part for part in tests if part not in excluded]
    left = [part for part in included if part not in kept.prompts]
    if left and body.controls:
        drawn = steps.draw(included, progress)
        if kept.drawn is None:
            lab.keep_figures(record.id, author, drawn)
        elif [family.digest for family in kept.drawn.families] != [family.digest for family in drawn.families]:
            raise LabError("drawn again, the controls of this run come out differently: run the hypothesis anew")
    left += [part for part in off_target if part not in kept.prompts]
    total = len(included) + len(off_target)

    def told(_phase: str, fraction: float) -> None:
        progress("prompts", (total - len(left) + fraction * len(left)) / total)

    for figures in steps.measure(left, included, told):
        lab.keep_figures(record.id, author, figures)
        yield figures
    progress("prompts", 1.0)


def estimate(model: ReplacementModel, plan: Plan) -> float:
    """Seconds that a run will take about, without graphs. Raises as `pace` does."""
    return pace(model, plan).seconds(plan)


@dataclass(frozen=True)
class Pace:
    """Seconds from which those of a run follow, with controls at one dose or at all."""

    below: float  # what runs once for all edits of a prompt
    matching: float  # controls, on one prompt
    each: float  # one edit more

    def seconds(self, plan: Plan) -> float:
        each_prompt = len(plan.prompts) * (2 * self.below + self.matching)
        unedited = len(plan.off_target) + sum(prompt.donor is not None for prompt in plan.prompts)
        return each_prompt + unedited * self.below + self.each * plan.n_runs


def pace(model: ReplacementModel, plan: Plan) -> Pace:
    """From a few edits and controls of the first prompt. Raises TracerError where no controls can be matched there."""
    prompt, intervention = plan.prompts[0], plan.body.intervention

    def edits(n: int) -> None:
        conditions = [list(prompt.doses[0])] * n
        held = intervention.protocol, intervention.layers
        list(model.steer_many(tokens=prompt.ids, conditions=conditions, protocol=held[0], layers=held[1]))

    few = tuple(family.model_copy(update={"sets": 1}) for family in plan.body.controls)
    drawn = replace(plan, body=plan.body.model_copy(update={"controls": few}))
    edits(1)  # the first is slower
    one, many = _seconds(lambda: edits(1)), _seconds(lambda: edits(17))
    each = max(many - one, 0.0) / 16
    below = max(one - each, 0.0)  # as long as to see what the model says
    return Pace(below, _seconds(lambda: draw(model, drawn, [prompt])), each)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _machine(model: ReplacementModel) -> str:
    gpu = f", {torch.cuda.get_device_name(model.device)}" if model.device.type == "cuda" else ""
    threads = torch.get_num_threads()
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {threads} threads{gpu}"


def _visibility(lab: Lab, author: Person, file: HypothesisFile) -> str:
    """As the hypothesis's own, where it is in this lab."""
    if file.freeze is None:
        return "lab"
    try:
        return lab.get(file.freeze.record, author).visibility
    except NotFound:
        return "lab"
