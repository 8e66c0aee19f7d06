"""From a column to what the engine runs: tokens, edits, protocol; or one line that says why it can't be run."""

from dataclasses import dataclass

from lab import LabError, Record, SteeredRow, SteeringBody
from service import Service
from tracer import ReplacementModel, TracerError
from tracer.steering.compare import Case
from ui.compare_columns import Column
from ui.graph_canvas import pretty_token
from ui.session import get_lab, me
from ui.steer_draft import Steering, edits_of, from_record
from ui.steer_draft import steering as steered_here
from ui.steer_rows import WHERE
from ui.steer_run import known_maxima


@dataclass(frozen=True)
class Ready:
    """A column that can be run. Texts are as people wrote them: hostile."""

    name: str
    about: str  # what is done to the prompt
    prompt: str
    case: Case


def ready(service: Service, model: ReplacementModel, column: Column) -> Ready:
    """Raises TracerError."""
    if column.kind == "prompt":
        if not column.prompt:
            raise TracerError("type a prompt")
        ids = _short_enough(service, model.token_ids(column.prompt))
        return Ready("prompt", "no edits", column.prompt, Case(model, tuple(ids)))
    if column.kind == "tab":
        return _steered(service, model, steered_here(), "this tab's Steer page")
    if not column.run:
        raise TracerError("choose a saved run")
    try:
        record: Record[SteeringBody] = get_lab().get(column.run, me())
    except LabError as problem:
        raise TracerError(f"the run can't be opened: {problem}") from problem
    if record.kind != "steering":
        raise TracerError("this link leads to something that is no steering run")
    body = record.head.body
    return _steered(service, model, from_record(record.id, body, record.about.graph), body.title)


def _steered(service: Service, model: ReplacementModel, wanted: Steering, name: str) -> Ready:
    rows = [row for row in wanted.rows if row.on]
    if not rows or not wanted.tokens:
        raise TracerError("nothing is steered there: switch on a row of the Steer page")
    if not wanted.fits(model):
        raise TracerError(
            "it was made with another model, or other features, than the ones that are loaded: load those to run it"
        )
    maxima = known_maxima(service, model, rows)
    edits = edits_of(rows, {place: high for place, (_, high) in maxima.items()})
    tokens = _short_enough(service, list(wanted.tokens))
    case = Case(model, tuple(tokens), tuple(edits), wanted.protocol, wanted.layers)
    said = "; ".join(_said(row) for row in rows)
    return Ready(name, f"{said} ({wanted.protocol})", wanted.prompt, case)


def _said(row: SteeredRow) -> str:
    amounts = {"factor": "× {:g}", "value": "= {:g}", "maximum": "+ {:g} × max", "donor": "× {:g} in another prompt"}
    place = "" if row.where == "own" else f", {WHERE[row.where]}"
    return f"{row.name} {amounts[row.unit].format(row.amount)}{place}"


def _short_enough(service: Service, ids: list[int]) -> list[int]:
    most = service.settings.max_tokens
    if len(ids) > most:
        raise TracerError(f"{len(ids):,} tokens; the limit is {most:,} (HYPOGRAPH_MAX_TOKENS): shorten the prompt")
    return ids


def saved_runs() -> dict[str, str]:
    """Titles of all runs that one may see, by id; the latest first."""
    return {record.id: record.head.body.title for record in get_lab().find("steering", me())}


def token_name(model: ReplacementModel, id: int) -> str:
    return pretty_token(model.token_text(id))
