"""A guided demo: which step this tab is at, in session and address, and how a step's page comes about.

A step is a state of the pages' own: a graph with a circuit pinned and a node selected, or a steering run. Knows nothing
of what is drawn.
"""

from dataclasses import dataclass, field

import streamlit as st

from lab import CircuitBody
from service import TraceRequest
from tracer import Graph, ReplacementModel
from ui.circuit_draft import Draft, draft_of
from ui.demo_steps import DEMOS, Demo, Scene, Step
from ui.history import Replaced
from ui.steer_draft import Steering, changed, from_circuit


class NoSuchStep(Exception):
    """One line that says which there are."""


@dataclass
class Place:
    """Of one tab."""

    demo: Demo
    step: int  # from 1
    former: Steering | None  # what the tab steered before the demo: comes back at its end
    job: str | None = None  # that traces the step's graph
    entered: bool = False  # the step's page is on the screen, and the person's to change
    replaced: Replaced = field(default_factory=Replaced)  # addresses before our writes

    @property
    def now(self) -> Step:
        return self.demo.steps[self.step - 1]

    @property
    def address(self) -> dict[str, str]:
        return {"demo": self.demo.id, "step": str(self.step)}


def current() -> Place | None:
    """Where this tab is: by its address where that names a step, else where it was. Raises NoSuchStep."""
    here: Place | None = st.session_state.get("demo")
    id = st.query_params.get("demo")
    if id is None:
        if here is not None:
            st.query_params.update(here.address)
        return here
    asked = (id, st.query_params.get("step", "1"))
    if here is not None and (asked == (here.demo.id, str(here.step)) or here.replaced.late(asked)):
        return here
    demo = DEMOS.get(id)
    if demo is None:
        raise NoSuchStep(f"There is no demo “{id}”; there are {', '.join(DEMOS)}")
    steps = [str(n) for n in range(1, len(demo.steps) + 1)]
    if asked[1] not in steps:
        raise NoSuchStep(f"The demo {id} has no step “{asked[1]}”; its steps are 1 to {len(steps)}")
    return _put(demo, int(asked[1]))


def go(demo: str, step: int) -> None:
    """Start a demo, or go to another of its steps."""
    place = _put(DEMOS[demo], step)
    old = st.query_params.get("demo"), st.query_params.get("step")
    if old[0] is not None:
        place.replaced.add((old[0], old[1] or "1"))
    st.query_params.update(place.address)


def _put(demo: Demo, step: int) -> Place:
    here: Place | None = st.session_state.get("demo")
    former = here.former if here is not None else st.session_state.get("steering")
    st.session_state["demo"] = place = Place(demo, step, former, replaced=here.replaced if here else Replaced())
    return place


def end() -> None:
    """What the tab steered before is there again."""
    place: Place | None = st.session_state.pop("demo", None)
    if place is not None:
        st.session_state["steering"] = place.former or Steering()
    for name in ("demo", "step"):
        st.query_params.pop(name, None)


def request(model: ReplacementModel, scene: Scene) -> TraceRequest:
    """The trace of a scene's graph, with the settings that the Trace page begins with."""
    return TraceRequest(tokens=tuple(model.token_ids(scene.prompt)), prompt=scene.prompt)


def strangers(graph: Graph, scene: Scene) -> list[str]:
    """Nodes of the scene's circuit that this graph has not."""
    return [node for nodes in scene.circuit.values() for node in nodes if node not in graph.index]


def enter(place: Place, model: ReplacementModel, key: str, graph: Graph) -> dict[str, str]:
    """Set this tab's state to the step's; the address of its page."""
    step, scene = place.now, place.now.scene
    address = place.address | {"graph": key}
    if step.edits:
        st.session_state["steering"] = steered(model, key, graph, step)
    else:
        draft = draft_of(key, scene.prompt)
        circuit = _circuit(scene)
        draft.set(pins=circuit.pins, groups=[group.model_dump() for group in circuit.groups])
    if step.select is not None:
        address["select"] = step.select
    place.entered = True
    return address


def steered(model: ReplacementModel, key: str, graph: Graph, step: Step) -> Steering:
    """The step's edits: all supernodes of its circuit are rows, those that it edits are on."""
    made = from_circuit(key, graph, Draft(key, _circuit(step.scene)))
    edits = step.edits
    made.rows = [changed(row, amount=edits.get(row.name, row.amount), on=row.name in edits) for row in made.rows]
    made.follow = model.token_id(step.scene.answer)
    return made


def _circuit(scene: Scene) -> CircuitBody:
    pins = [node for nodes in scene.circuit.values() for node in nodes]
    groups = [{"name": name, "nodes": list(nodes)} for name, nodes in scene.circuit.items()]
    return CircuitBody.model_validate({"title": scene.prompt, "prompt": scene.prompt, "pins": pins, "groups": groups})
