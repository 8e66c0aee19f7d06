"""Running a hypothesis: the button, its options, how long it will take; progress, cancel, and going on."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab import LabError, Record
from lab.runs.bodies import RunBody, version_hash
from lab.runs.notebook import total
from lab.runs.plan import Plan, make_plan
from lab.runs.run import Pace, pace
from lab.runs.steps import made_with
from service import JobState, JobView, Refused, RunRequest, Service
from service.tracing import seconds_of_graphs
from tracer import ReplacementModel, TracerError
from ui.hypothesis_fit import fits
from ui.hypothesis_opened import Opened
from ui.loaded_model import loaded_model
from ui.session import get_lab, me
from ui.sidebar import job_progress, plain
from ui.told import tell

Estimate = Callable[[], None]
"""To be called when the rest of the page is drawn: it may take some seconds."""


@dataclass(frozen=True)
class Step:
    """What the button does."""

    label: str
    anew: bool


def next_step(opened: Opened, author: str, request: RunBody, anew: bool) -> Step:
    """`request`: what would be run. A run is gone on with by its author, with the same options, model and libraries."""
    draft = " as a draft" if request.hypothesis.freeze is None else ""
    for run in opened.runs:
        if run.owner.id == author and request.same_as(run.head.body):
            if opened.complete(run):
                return Step(f"Run again{draft}", True)
            if anew:
                return Step(f"Begin anew{draft}", True)
            return Step(f"Go on: {opened.done(run)} of {total(request.body)} prompts are kept", False)
    return Step(f"Run{draft}", False)


def run_bar(service: Service, opened: Opened, place: DeltaGenerator) -> Estimate | None:
    """What is going on; or what stands in the way; or else the button and its options, in `place`."""
    jobs = [job for job in service.jobs() if job.kind == "run" and job.key in {run.id for run in opened.runs}]
    with st.container():
        if jobs and not jobs[0].over:
            _watch(service, jobs[0].id, _run(opened, jobs[0]))
            return None
        if refused := st.session_state.pop("run_refused", None):
            st.error(f"Not run: {plain(refused)}.")
        elif jobs:
            _over(jobs[0])
    model = loaded_model(service)
    if model is None:
        return None
    if not fits(opened.body, service):
        _another_model(service, opened)
        return None
    return _ready(service, opened, model, place)


def _ready(service: Service, opened: Opened, model: ReplacementModel, place: DeltaGenerator) -> Estimate | None:
    frozen = opened.number in opened.checked
    button = place.container(width="content")
    with place.popover("Options", key=f"options_{opened.id}"):
        full_grid, predicts, anew = _options(opened)
    try:
        plan = make_plan(opened.body.with_split(), model)
        grid = make_plan(opened.body.with_split(), model, full_grid=True)
    except (LabError, TracerError) as problem:
        st.error(f"It can't be run: {plain(str(problem))}.")
        return None
    request = RunBody(
        title=opened.body.title,
        hypothesis=opened.file,
        hash=version_hash(opened.file),
        full_grid=full_grid,
        predicts=predicts,
        made_with=made_with(model),
        machine="any",
    )
    step = next_step(opened, me().id, request, anew)
    asked = RunRequest(get_lab(), me(), opened.file, full_grid, predicts, step.anew, opened.id)
    button.button(
        step.label,
        key="run_hypothesis",
        type="primary" if frozen and not step.anew else "secondary",
        icon=":material/play_arrow:",
        on_click=_submit,
        args=(service, asked),
    )
    how_long = st.empty()
    if not frozen:
        st.caption("A run of a draft is exploratory, here and in every report: what it tests can still be changed.")
    _say(how_long, plan, grid, full_grid, None)

    def estimate() -> None:
        if _busy(service):
            more = " The server is busy: how long that takes can be said when no job runs or waits."
            _say(how_long, plan, grid, full_grid, None, more=more)
        elif all(len(prompt.ids) <= service.settings.max_tokens for prompt in (*plan.prompts, *plan.off_target)):
            key = request.hash, model.model_fingerprint, model.basis_fingerprint, model, plan
            found = _pace(*key)
            if _busy(service):  # since it was measured: not as fast as it can be
                _pace.clear(*key)
            graphs = seconds_of_graphs(service.cache, model, plan.prompts) if predicts else 0.0
            _say(how_long, plan, grid, full_grid, found, graphs)

    return estimate


def _busy(service: Service) -> bool:
    return any(not job.over for job in service.jobs())


def _options(opened: Opened) -> tuple[bool, bool, bool]:
    of = f"{opened.id}_{opened.number}"
    grid = st.checkbox(
        "Controls at all doses",
        key=f"grid_{of}",
        help="The full grid. Else controls run at the dose that decides, and the other doses with the edit alone.",
    )
    predicts = st.checkbox(
        "Foretell by graphs",
        key=f"predicts_{of}",
        disabled=opened.body.metric != "logit_difference",
        help="Traces each test prompt too, and compares what its graph says beforehand with what is measured. For"
        " logit differences alone.",
    )
    anew = st.checkbox(
        "Begin anew",
        key=f"anew_{of}",
        help="Even where a run was cut off that could go on. That one stays.",
    )
    return grid, predicts, anew


def _say(
    place: DeltaGenerator,
    plan: Plan,
    grid: Plan,
    full: bool,
    found: Pace | None,
    graphs: float = 0.0,
    more: str = "",
) -> None:
    """How much there is to do, and about how long it takes; `graphs`: seconds of those that are to be traced."""

    def words(of: Plan) -> str:
        return f"{of.n_runs:,} runs with edits" + (
            "" if found is None else f", about {seconds(found.seconds(of) + graphs)}"
        )

    other = "" if grid.n_runs == plan.n_runs or full else f"; with controls at all doses {words(grid)}"
    place.caption(f"From its beginning {words(grid if full else plan)}{other}.{more}")


def seconds(value: float) -> str:
    return f"{max(1, round(value))} s" if value < 90 else f"{round(value / 60)} minutes"


@st.cache_resource(max_entries=200, show_spinner=False)
def _pace(hash: str, model: str, basis: str, _model: ReplacementModel, _plan: Plan) -> Pace | None:
    try:
        return pace(_model, _plan)
    except TracerError:  # the run says what it is
        return None


def _another_model(service: Service, opened: Opened) -> None:
    body, state = opened.body, service.model_state()
    wanted, there = (plain(f"{a} with {b}") for a, b in ((body.model, body.features), (state.name, state.features)))
    if (body.model, body.features) == (state.name, state.features):
        st.warning(f"It was written for other weights or features of the name {wanted} than are loaded: it can't run.")
        return
    st.warning(f"It is about {wanted}; {there} is loaded.")
    st.button(
        f"Load {wanted}",
        key="load_for_hypothesis",
        help="For everybody on this server, once the queue is empty.",
        on_click=tell,
        args=(lambda: service.switch_model(body.model, body.features, me()),),
    )


def _submit(service: Service, request: RunRequest) -> None:
    try:
        job = service.submit_run(request, me())
    except Refused as refusal:
        st.session_state["run_refused"] = str(refusal)
        return
    st.session_state.setdefault("known_jobs", {})[job.id] = job.state
    st.session_state.pop("finished_title", None)


def _run(opened: Opened, job: JobView) -> Record[RunBody]:
    return next(run for run in opened.runs if run.id == job.key)


@st.fragment(run_every=1.0)
def _watch(service: Service, job_id: str, run: Record[RunBody]) -> None:
    """Progress while it runs; the page once more when it is over."""
    job = service.job(job_id)
    if job is None or job.over:
        st.rerun()
    job_progress(service, job, where="page")
    done, all = get_lab().finished([run.id], me()).get(run.id, 0), total(run.head.body.body)
    early = "" if run.head.body.hypothesis.freeze is not None else " The run is exploratory: of a draft."
    st.caption(f"{done} of {all} prompts are finished and kept, also when it is cancelled.{early}")


def _over(job: JobView) -> None:
    if job.state is JobState.CANCELLED:
        st.info("Cancelled. What is finished is kept.")
    elif job.state is JobState.FAILED:
        st.error(f"The run failed: {plain(job.error or '')}. What is finished is kept.")
