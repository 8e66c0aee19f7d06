"""From a column to what the engine runs: model, tokens, edits, protocol; or one line that says why it can't be run."""

from dataclasses import dataclass

from lab import LabError, Record, SteeringBody
from service import Choice, Service
from tracer import ReplacementModel, TracerError
from tracer.steering.compare import Case
from ui.compare_columns import Column
from ui.compare_models import Models, beside, made_with
from ui.graph_canvas import pretty_token
from ui.session import get_lab, me
from ui.steer_draft import Steering, edits_of, from_record
from ui.steer_draft import steering as steered_here
from ui.steer_rows import rows_in_words
from ui.steer_run import known_maxima


@dataclass(frozen=True)
class Asked:
    """A column, before its model is there. Texts are as people wrote them: hostile."""

    name: str
    prompt: str
    steering: Steering | None  # None: no edits
    choice: Choice | None  # to be loaded beside the loaded model; None: it runs on that one


@dataclass(frozen=True)
class Ready:
    """A column that can be run."""

    name: str
    about: str  # what is done to the prompt
    prompt: str
    case: Case


def asked(service: Service, model: ReplacementModel, column: Column, models: Models) -> Asked:
    """`model` is the loaded one. Raises TracerError."""
    if column.kind == "prompt":
        if not column.prompt:
            raise TracerError("type a prompt")
        return Asked("prompt", column.prompt, None, beside(service, column.choice, models))
    if column.kind == "tab":
        return _steered("this tab's Steer page", steered_here(), None)
    if not column.run:
        raise TracerError("choose a saved run")
    try:
        record: Record[SteeringBody] = get_lab().get(column.run, me())
    except LabError as problem:
        raise TracerError(f"the run can't be opened: {problem}") from problem
    if record.kind != "steering":
        raise TracerError("this link leads to something that is no steering run")
    body = record.head.body
    wanted = from_record(record.id, body, record.about.graph)
    if wanted.fits(model):
        return _steered(body.title, wanted, None)
    choice = made_with(body)
    if choice is None:
        raise TracerError(
            "it was made with another model, or other features, than the ones that are loaded, and does not say which"
            " features: load them to run it"
        )
    return _steered(body.title, wanted, beside(service, choice, models))


def ready(service: Service, model: ReplacementModel, asked: Asked) -> Ready:
    """`model`: that of its choice. Raises TracerError."""
    wanted = asked.steering
    if wanted is None:
        ids = _short_enough(service, model.token_ids(asked.prompt))
        return Ready(asked.name, "no edits", asked.prompt, Case(model, tuple(ids)))
    if not wanted.fits(model):
        raise TracerError("it was made with another model, or other features, than these: load those to run it")
    rows = [row for row in wanted.rows if row.on]
    maxima = known_maxima(service, model, rows)
    edits = edits_of(rows, {place: high for place, (_, high) in maxima.items()})
    tokens = _short_enough(service, list(wanted.tokens))
    case = Case(model, tuple(tokens), tuple(edits), wanted.protocol, wanted.layers)
    return Ready(asked.name, f"{rows_in_words(rows)} ({wanted.protocol})", wanted.prompt, case)


def _steered(name: str, wanted: Steering, choice: Choice | None) -> Asked:
    if not any(row.on for row in wanted.rows) or not wanted.tokens:
        raise TracerError("nothing is steered there: switch on a row of the Steer page")
    return Asked(name, wanted.prompt, wanted, choice)


def _short_enough(service: Service, ids: list[int]) -> list[int]:
    most = service.settings.max_tokens
    if len(ids) > most:
        raise TracerError(f"{len(ids):,} tokens; the limit is {most:,} (HYPOGRAPH_MAX_TOKENS): shorten the prompt")
    return ids


def saved_runs() -> dict[str, SteeringBody]:
    """All that one may see, by id; the latest first."""
    return {record.id: record.head.body for record in get_lab().find("steering", me())}


def token_name(model: ReplacementModel, id: int) -> str:
    return pretty_token(model.token_text(id))
