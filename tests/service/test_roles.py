"""What of the service is whose to do, whatever a page shows."""

from collections.abc import Callable

import pytest

import tracer
from lab import Person, Role
from service import Choice, JobState, Refused, Service, TraceRequest
from tests.helpers import somebody
from tests.service.fake_engine import FakeGraph

ADMIN, VIEWER, EDITOR = somebody("ann"), somebody("vic", Role.VIEWER), somebody("ed", Role.EDITOR)


def _graph() -> tracer.Graph:
    return FakeGraph({})  # type: ignore[return-value]


# By method: tests/attacks/test_viewer.py sees that none is missing.
FOR_EDITORS: dict[str, Callable[[Service, Person], object]] = {
    "submit": lambda service, who: service.submit(TraceRequest((7,)), who),
    "keep_graph": lambda service, who: service.keep_graph("a" * 64, _graph(), who),
    "forget_graph": lambda service, who: service.forget_graph("a" * 64, who),
    "load_beside": lambda service, who: service.load_beside(Choice("second", "neurons"), who),
    "give_up_beside": lambda service, who: service.give_up_beside(Choice("second", "neurons"), who),
    "retry_load": lambda service, who: service.retry_load(who),
}
FOR_ADMINS: dict[str, Callable[[Service, Person], object]] = {
    "switch_model": lambda service, who: service.switch_model("second", "neurons", who),
    "clear_cache": lambda service, who: service.clear_cache(who),
    "uses": lambda service, who: service.uses(who),
    "pause": lambda service, who: service.pause(True, who),
    "cancel_for_all": lambda service, who: service.cancel_for_all("a job", who),
}


@pytest.mark.parametrize("act", FOR_EDITORS.values(), ids=FOR_EDITORS.keys())
def test_what_an_editor_may_and_a_viewer_may_not(service: Service, act: Callable[[Service, Person], object]) -> None:
    with pytest.raises(Refused, match="your role here is viewer"):
        act(service, VIEWER)
    assert service.jobs() == [] and service.beside_state(Choice("second", "neurons")) is None
    act(service, EDITOR)


@pytest.mark.parametrize("act", FOR_ADMINS.values(), ids=FOR_ADMINS.keys())
def test_what_an_admin_alone_may(service: Service, act: Callable[[Service, Person], object]) -> None:
    with pytest.raises(Refused, match="your role here is editor"):
        act(service, EDITOR)
    assert service.model_state().name == "first"
    act(service, ADMIN)


def test_a_viewer_finds_what_was_traced(service: Service) -> None:
    traced = service.wait(service.submit(TraceRequest((1,)), ADMIN).id, 10)
    assert traced is not None and traced.state is JobState.DONE
    assert service.submit(TraceRequest((1,)), VIEWER).cached
