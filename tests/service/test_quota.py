"""The quota of a person: what counts, what is refused, how one makes room. With a real record and a real cache."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab import About, HypothesisFile, Lab, LabelBody, Person, Role
from service import JobState, Refused, RunRequest, Service, Settings, TraceRequest
from service.quota import Use
from tests.helpers import somebody
from tests.lab.runs import tiny
from tests.service.fake_engine import FakeEngine, FakeGraph, until

SIZE = 600_000  # bytes of a graph: two are more than the quota


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, quota_mb=1)


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    lab = Lab(settings.database)
    yield lab
    lab.close()


@pytest.fixture
def root(lab: Lab) -> Person:
    return lab.person("x", "root", "Root", Role.ADMIN)


@pytest.fixture
def server(settings: Settings, engine: FakeEngine, lab: Lab) -> Iterator[Service]:
    engine.graph_size = SIZE
    service = Service(settings, engine.load, lab)
    service.start()
    until(lambda: service.model is not None)
    yield service
    assert service.stop(5)


def traced(service: Service, token: int, by: Person) -> str:
    view = service.wait(service.submit(TraceRequest((token,)), by).id, 10)
    assert view is not None and view.state is JobState.DONE
    return view.key


def test_who_asked_first_is_counted(server: Service, ada: Person, ben: Person, root: Person) -> None:
    traced(server, 1, ada)
    assert traced(server, 1, ben) and server.use_of(ben) == Use(0, 0), "it is kept once"
    assert server.use_of(ada) == Use(SIZE, 0) and server.uses(root) == {ada.id: Use(SIZE, 0)}
    with pytest.raises(Refused, match="your role"):
        server.uses(ada)


def test_at_the_quota_a_trace_and_an_import_are_refused(
    server: Service, lab: Lab, ada: Person, ben: Person, engine: FakeEngine
) -> None:
    keys = [traced(server, token, ada) for token in (1, 2)]
    said = r"you use 1\.2 MB of the 1 MB .*HYPOGRAPH_QUOTA_MB; graphs 1\.2 MB, records 0\.0 MB\): delete graphs or rec"
    with pytest.raises(Refused, match=said):
        server.submit(TraceRequest((3,)), ada)
    with pytest.raises(Refused, match=said):
        server.keep_graph("a" * 64, FakeGraph({}), ada)  # type: ignore[arg-type]
    assert traced(server, 1, ada) == keys[0], "what is there is found"
    lab.create(ada, About(graph=keys[0], node="n"), LabelBody(text="what is written is always taken"))
    traced(server, 3, ben)

    largest = server.largest_of(ada)
    assert {entry.key for entry in largest} == set(keys) and {entry.size for entry in largest} == {SIZE}
    graph = server.forget_graph(keys[0], ada)
    traced(server, 4, ada)
    assert graph is not None and server.keep_graph(keys[0], graph, ada, again=True), "an undo is never refused"
    assert server.use_of(ada).graphs == 3 * SIZE


def test_a_run_is_refused_too(server: Service, lab: Lab, ada: Person) -> None:
    """Before it is begun."""
    for token in (1, 2):
        traced(server, token, ada)
    with pytest.raises(Refused, match=r"you use 1\.2 MB"):
        server.submit_run(RunRequest(lab, ada, HypothesisFile(hypothesis=tiny.hypothesis())), ada)
    assert lab.find("run", ada) == []


def test_what_one_writes_counts(server: Service, lab: Lab, ada: Person, ben: Person, root: Person) -> None:
    traced(server, 1, ada)
    label = lab.create(ada, About(graph="g", node="n"), LabelBody(text="mine"))
    use = server.use_of(ada)
    assert use.texts == lab.size_of(ada) > 0 and use.total == SIZE + use.texts
    lab.delete(label.id, ada)
    assert server.use_of(ada).total == SIZE
    lab.merge(ada.id, ben.id, root)
    assert server.use_of(ben) == Use(SIZE, 0) and server.uses(root) == {ben.id: Use(SIZE, 0)}


def test_what_is_evicted_counts_no_more(server: Service, ada: Person) -> None:
    traced(server, 1, ada)
    server.cache.clear()
    assert server.use_of(ada) == Use(0, 0)


def test_a_job_counts_for_who_still_waits(server: Service, engine: FakeEngine, ada: Person, ben: Person) -> None:
    engine.brake.clear()
    job = server.submit(TraceRequest((1,)), ada)
    server.submit(TraceRequest((1,)), ben)
    server.cancel(job.id, ada)
    engine.brake.set()
    assert server.wait(job.id, 10)
    assert (server.use_of(ada).graphs, server.use_of(ben).graphs) == (0, SIZE)


def test_without_a_quota_nobody_is_counted(service: Service, settings: Settings, engine: FakeEngine) -> None:
    service.settings = replace(settings, quota_mb=None)
    engine.graph_size = SIZE
    for token in range(3):
        traced(service, token, somebody("ann"))
    assert service.cache.used() == {}
