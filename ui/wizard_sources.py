"""What a hypothesis is begun from: the circuit of a graph, a steering run, a saved hypothesis."""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import NoReturn

import streamlit as st
from pydantic import ValidationError

from lab import CircuitBody, LabError, Prompt, Record, SlottedText, SteeredRow, SteeringBody
from lab.claim import ControlFamily
from service import Service
from tracer import Graph, ReplacementModel, TracerError
from tracer.steering.controls import WITHOUT_GRAPH
from ui.circuit_draft import Draft
from ui.session import get_lab, me
from ui.steer_draft import START, Steering, from_circuit, from_record, places_of
from ui.who_sees import seen_as
from ui.wizard_draft import SETS, Node, Piece, Writing, doses, of_body

# Drafts of a tab ------------------------------------------------------------------------------------------------------


def begin(writing: Writing) -> Writing:
    """What this tab writes from now on; one that was begun from the same goes on."""
    drafts = st.session_state.setdefault("wizards", {})
    before: Writing | None = drafts.get(writing.source)
    if before is None:
        drafts[writing.source] = writing
    elif writing.visibility == "private":  # by now
        before.visibility = "private"
    st.session_state["wizard_now"] = writing.source
    return drafts[writing.source]


def begin_from(make: Callable[[ReplacementModel], Writing]) -> NoReturn:
    """Go to the wizard, which makes the draft once it has the model."""
    st.session_state["wizard_from"] = make
    st.switch_page("pages/hypotheses.py", query_params={"write": "new"})


def begun(source: str | None = None) -> Writing | None:
    """This tab's draft from a source, or the one that it works on."""
    drafts = st.session_state.get("wizards", {})
    return drafts.get(source or st.session_state.get("wizard_now"))


def drop(writing: Writing) -> None:
    st.session_state.get("wizards", {}).pop(writing.source, None)
    st.session_state.pop("wizard_now", None)


# Sources --------------------------------------------------------------------------------------------------------------


def of_circuit(key: str, graph: Graph, draft: Draft, model: ReplacementModel) -> Writing:
    """Groups are supernodes, single features their own; all of them are set. The prompt is on the discovery side."""
    steering = from_circuit(key, graph, draft)
    steering.rows = [row.model_copy(update={"on": True, "amount": START}) for row in steering.rows]
    found = _writing(model, steering, f"circuit {key} {hash((draft.body.pins, draft.body.groups))}", draft.body.title)
    found.visibility = seen_as(draft.record)
    target, competitor = _targets(graph)
    found.prompts = _own(found, target, competitor)
    found.model, found.features = str(graph.meta["model"]), str(graph.meta["features"])
    return found


def of_run(steering: Steering, title: str, model: ReplacementModel) -> Writing:
    """Its rows with the values that they had; those that were off are looked at."""
    told = (steering.tokens, tuple(steering.rows), steering.protocol, steering.layers)
    found = _writing(model, steering, f"run {hash(told)}", title)
    found.visibility = seen_as(steering.record, steering.circuit)
    found.prompts = _own(found, None if steering.follow is None else model.token_text(steering.follow), None)
    donor = next((row.donor for row in steering.rows if row.unit == "donor" and row.donor is not None), None)
    if donor is not None:
        text = SlottedText(text=own_text(model, donor.prompt, donor.tokens))
        found.prompts = [prompt.model_copy(update={"donor": text}) for prompt in found.prompts]
    found.protocol, found.layers = steering.protocol, steering.layers
    kind = steering.controls.kind
    if kind in WITHOUT_GRAPH:
        sets = 1 if kind == "sign" else SETS
        found.controls = (ControlFamily(kind=kind, sets=sets, seed=found.seed),)  # type: ignore[arg-type]
    return found


def of_record(id: str) -> Writing:
    """Its next version. Raises LabError."""
    record = get_lab().get(id, me())
    if record.kind != "hypothesis":
        raise LabError("this link leads to something that is no hypothesis: open one from the list")
    found = of_body(record.head.body, f"record {id}")
    found.record, found.base, found.graph = id, record.head.number, record.about.graph
    found.visibility = record.visibility
    return found


def saved_circuits(service: Service) -> list[Record[CircuitBody]]:
    """Those whose graph is kept."""
    found: list[Record[CircuitBody]] = get_lab().find("circuit", me())
    return [record for record in found if (record.about.graph or "") in service.cache]


def of_saved_circuit(service: Service, id: str, model: ReplacementModel) -> Writing:
    """Raises LabError, also where the graph is not kept any more."""
    record: Record[CircuitBody] = get_lab().get(id, me())
    if record.kind != "circuit" or record.about.graph is None:
        raise LabError("this link leads to something that is no circuit: open one from the Library")
    graph = service.graph(record.about.graph)
    if graph is None:
        raise LabError("the graph of this circuit is not kept any more: trace its prompt again")
    return of_circuit(record.about.graph, graph, Draft(record.about.graph, record.head.body, record.id), model)


def of_saved_run(id: str, model: ReplacementModel) -> Writing:
    """Raises LabError."""
    record: Record[SteeringBody] = get_lab().get(id, me())
    if record.kind != "steering":
        raise LabError("this link leads to something that is no steering run: open one from the Steer page")
    body = record.head.body
    found = of_run(from_record(id, body, record.about.graph), body.title, model)
    if (body.model_fingerprint, body.basis_fingerprint) != (model.model_fingerprint, model.basis_fingerprint):
        found.model, found.features = body.model, body.features or body.basis_fingerprint
    return found


def add_second(service: Service, model: ReplacementModel, writing: Writing, id: str) -> None:
    """The second circuit of an equivalence, in place of one that is there. Raises LabError."""
    other = of_saved_circuit(service, id, model)
    first = [piece for piece in writing.pieces if not piece.second]
    for piece in other.pieces:
        piece.name = free_name(piece.name, [taken.name for taken in first])
        piece.second = True
    writing.pieces = [*first, *other.pieces]
    known = writing.texts()
    writing.prompts = [*writing.prompts, *(prompt for prompt in other.prompts if prompt.text not in known)]
    if other.visibility == "private":
        writing.visibility = "private"
    writing.revision += 1


# Parts ----------------------------------------------------------------------------------------------------------------


def own_text(model: ReplacementModel, prompt: str, tokens: Sequence[int]) -> str:
    """A text that gives these tokens: the prompt itself, but for chats and tokens that were given by number."""
    try:
        same = bool(prompt) and model.token_ids(prompt) == list(tokens)
        return prompt if same else model.prompt_text(tokens)
    except (TracerError, IndexError):  # tokens of another model
        return prompt


def _writing(model: ReplacementModel, steering: Steering, source: str, title: str) -> Writing:
    model_made, _, basis_made = steering.made_for.partition(" ")
    text = own_text(model, steering.prompt, steering.tokens)
    return Writing(
        source=source,
        graph=steering.graph,
        model=model.name,
        features=model.basis.name,
        model_fingerprint=model_made,
        basis_fingerprint=basis_made,
        title=" ".join(title.split())[:300],
        pieces=_pieces(steering.rows, text, len(steering.tokens)),
    )


def _pieces(rows: Iterable[SteeredRow], text: str, n_tokens: int) -> list[Piece]:
    """Rows that act on generated tokens alone are left out: no next token comes of them."""
    found: list[Piece] = []
    for row in rows:
        places = [(node.layer, node.feature, at) for node in row.nodes for at in places_of(row, node, n_tokens)]
        if places:
            nodes = tuple(Node(layer, feature, at) for layer, feature, at in dict.fromkeys(places))
            name = free_name(row.name, [piece.name for piece in found])
            others = doses(row.unit, row.amount)
            found.append(Piece(name, nodes, found_on=text, on=row.on, unit=row.unit, amount=row.amount, others=others))
    return found


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with a number behind it where it is taken."""
    names = (name if n == 1 else f"{name[:295]} {n}" for n in count(1))
    return next(name for name in names if name not in taken)


def _own(found: Writing, target: str | None, competitor: str | None) -> list[Prompt]:
    text = next((piece.found_on for piece in found.pieces), "")
    try:
        return [Prompt(text=text, target=target, competitor=competitor)]
    except ValidationError:  # no text, or tokens that can't be
        return []


def _targets(graph: Graph) -> tuple[str | None, str | None]:
    """The first two tokens that the graph explains, or the two of a difference."""
    if not graph.targets:
        return None, None
    first, *others = graph.targets
    if first.id is None:
        a, _, b = first.token.partition(" − ")
        return a or None, b or None
    return first.token, others[0].token if others and others[0].id is not None else None
