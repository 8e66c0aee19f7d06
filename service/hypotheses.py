"""One run of a hypothesis as a job: what is refused, how long it will take, and the run. Knows no queue, no threads."""

from collections.abc import Callable
from functools import partial

import tracer
from cache import GraphCache
from lab import LabError
from lab.runs.bodies import RunBody
from lab.runs.plan import make_plan
from lab.runs.run import begin, estimate, run
from lab.views import Record
from service.jobs import Refused, RunRequest
from service.progress import RUN_PHASES, History, Tracker
from service.shelf import Shelf
from service.tracing import kept_graph, seconds_of_graphs


def begun(request: RunRequest, model: tracer.ReplacementModel, max_tokens: int) -> Record[RunBody]:
    """The run that this asks for, in the record. Raises Refused for what can't be run."""
    try:
        for name, prompt, _ in request.file.hypothesis.texts():
            n = len(model.token_ids(prompt.text))
            if n > max_tokens:
                raise Refused(
                    f"{name} has {n} tokens, this server takes {max_tokens} (HYPOGRAPH_MAX_TOKENS): shorten it"
                )
        options = {"full_grid": request.full_grid, "predicts": request.predicts, "anew": request.anew}
        return begin(request.lab, request.author, request.file, model, record=request.record, **options)
    except (LabError, tracer.TracerError) as problem:
        raise Refused(str(problem)) from problem


def expected(request: RunRequest, run_id: str, model: tracer.ReplacementModel, cache: GraphCache) -> Tracker:
    """A tracker that knows about how long it will be."""
    body: RunBody = request.lab.get(run_id, request.author).head.body
    plan = make_plan(body.body, model, body.full_grid)
    seconds = estimate(model, plan)
    if body.predicts:
        seconds += seconds_of_graphs(cache, model, plan.prompts)
    history = History(RUN_PHASES)
    history.add({phase: share * seconds for phase, share in RUN_PHASES.items()})
    return Tracker(history)


def run_hypothesis(
    request: RunRequest,
    run_id: str,
    model: tracer.ReplacementModel,
    shelf: Shelf,
    owner: str | None,
    progress: tracer.Progress,
    between: Callable[[], None],
) -> None:
    """To its end, or until `progress` raises: what is finished is kept, and the same request goes on with it.

    `between` is called after each prompt. `owner`: whose the graphs are that foretell.
    """
    record = request.lab.get(run_id, request.author)
    graph_of = partial(kept_graph, shelf, owner, model)
    for _ in run(request.lab, request.author, record, model, graph_of, progress):
        between()
