"""The queue, with real threads and a real cache; only the model is a stand-in."""

import logging
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

import tracer
from cache import CacheError
from lab import Person
from service import JobState, JobView, Refused, Service, Settings, TraceRequest
from service.slot import Choice, ModelSlot
from tests.helpers import somebody
from tests.service.fake_engine import FakeEngine, until

ANN, BOB = somebody("ann"), somebody("bob")


def request(*tokens: int, **settings: object) -> TraceRequest:
    return TraceRequest(tokens=tokens, **settings)  # type: ignore[arg-type]


def see(service: Service, job: JobView) -> JobView:
    view = service.job(job.id)
    assert view is not None
    return view


def finish(service: Service, job: JobView) -> JobView:
    view = service.wait(job.id, 10)
    assert view is not None
    assert view.over
    return view


def running(service: Service, *tokens: int, person: Person = ANN) -> JobView:
    job = service.submit(request(*tokens), person)
    until(lambda: see(service, job).phase == "sweep")
    return see(service, job)


def test_a_job_runs_and_its_graph_is_there(service: Service, engine: FakeEngine, settings: Settings) -> None:
    job = finish(service, service.submit(request(1, 2, prompt=" Two\n tokens"), ANN))
    assert (job.state, job.fraction, job.error, job.warning, job.cached) == (JobState.DONE, 1.0, None, None, False)
    assert (job.summary, job.n_tokens, job.watchers) == ("Two tokens", 2, (ANN.id,))
    assert job.started is not None
    assert job.finished is not None
    assert job.created <= job.started <= job.finished
    graph = service.graph(job.key)
    assert graph is not None
    assert graph.meta == {"tokens": [1, 2]}
    assert [entry.key for entry in service.cache.recent(1)] == [job.key]


def test_first_in_first_out(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    first = running(service, 1)
    jobs = [service.submit(request(i), ANN) for i in (2, 3, 4)]
    assert [(job.state, job.position) for job in jobs] == [(JobState.QUEUED, i) for i in (1, 2, 3)]
    assert see(service, first).position is None
    assert [job.id for job in service.jobs()] == [job.id for job in [*reversed(jobs), first]]
    engine.brake.set()
    for job in [first, *jobs]:
        assert finish(service, job).state is JobState.DONE
    assert engine.traced == [(1,), (2,), (3,), (4,)]


def test_progress_is_seen(service: Service, engine: FakeEngine) -> None:
    finish(service, service.submit(request(1), ANN))  # now there is a history
    engine.brake.clear()
    job = running(service, 2)
    assert job.state is JobState.RUNNING
    assert 0 < job.fraction < 1
    assert job.eta is not None


def test_the_same_request_runs_once(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    views: list[JobView] = []
    ready = threading.Barrier(8)

    def ask(person: Person) -> None:
        ready.wait()
        views.append(service.submit(request(1, 2), person))

    threads = [threading.Thread(target=ask, args=(somebody(f"p{i}"),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({view.id for view in views}) == 1
    assert set(see(service, views[0]).watchers) == {f"p{i}" for i in range(8)}
    engine.brake.set()
    finish(service, views[0])
    assert engine.traced == [(1, 2)]


def test_many_threads_many_requests_each_runs_once(service: Service, engine: FakeEngine) -> None:
    """Without the brake, jobs end while others are being submitted."""
    failures: list[object] = []

    def ask() -> None:
        for i in range(4):
            job = service.submit(request(i), somebody(threading.current_thread().name))
            if finish(service, job).state is not JobState.DONE or service.graph(job.key) is None:
                failures.append(job)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(engine.traced) == [(i,) for i in range(4)]


def test_a_job_that_ends_while_another_is_being_submitted_is_found(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = service._shelf.get

    def look_and_be_overtaken(key: str) -> object:
        found = look(key)
        monkeypatch.setattr(service._shelf, "get", look)
        finish(service, service.submit(request(1), BOB))
        return found

    monkeypatch.setattr(service._shelf, "get", look_and_be_overtaken)
    assert service.submit(request(1), ANN).cached
    assert engine.traced == [(1,)]


@pytest.mark.parametrize(
    "change", [{"targets": (1,)}, {"targets": tracer.Difference(1, 2)}, {"position": 0}, {"max_nodes": 10}], ids=repr
)
def test_another_request_is_another_job(service: Service, engine: FakeEngine, change: dict[str, object]) -> None:
    engine.brake.clear()
    first = service.submit(request(1, 2), ANN)
    assert service.submit(request(1, 2, **change), ANN).id != first.id


def test_a_cache_hit_does_not_queue(service: Service, engine: FakeEngine, settings: Settings) -> None:
    first = finish(service, service.submit(request(1), ANN))
    engine.brake.clear()
    running(service, 2)
    hit = service.submit(request(1), BOB)
    assert (hit.state, hit.cached, hit.key, hit.watchers) == (JobState.DONE, True, first.key, (BOB.id,))
    assert hit.id != first.id


def test_a_cache_hit_from_an_earlier_run_of_the_server(
    service: Service, engine: FakeEngine, settings: Settings
) -> None:
    finish(service, service.submit(request(1), ANN))
    service.stop()
    again = Service(settings, load=engine.load)
    again.start()
    until(lambda: again.model_state().state == "ready")
    hit = again.submit(request(1), ANN)
    again.stop()
    assert hit.cached
    assert engine.traced == [(1,)]


def test_a_spoiled_graph_is_computed_again(
    service: Service, engine: FakeEngine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    engine.graph_size = 50_000  # a file
    finish(service, service.submit(request(1), ANN))
    service.stop()
    (file,) = settings.cache.rglob("*.val")
    file.write_bytes(b"spoiled")
    again = Service(settings, load=engine.load)
    again.start()
    until(lambda: again.model_state().state == "ready")
    job = again.submit(request(1), ANN)
    assert not job.cached
    assert finish(again, job).state is JobState.DONE
    again.stop()
    assert "spoiled" in caplog.text
    assert engine.traced == [(1,), (1,)]


def test_a_graph_deleted_from_the_cache_is_computed_again(service: Service, engine: FakeEngine) -> None:
    job = finish(service, service.submit(request(1), ANN))
    service.cache.delete(job.key)
    assert service.graph(job.key) is None
    assert not service.submit(request(1), ANN).cached


def test_a_graph_that_the_cache_refuses_is_still_shown(service: Service, engine: FakeEngine) -> None:
    engine.graph_size = 11_000_000  # the limit is 10 MB
    job = finish(service, service.submit(request(1), ANN))
    assert job.state is JobState.DONE
    assert job.warning is not None
    assert service.graph(job.key) is not None
    assert service.submit(request(1), ANN).cached


def test_memory_holds_only_a_few(service: Service) -> None:
    keys = [finish(service, service.submit(request(i), ANN)).key for i in range(6)]
    assert len(service._shelf._latest) == 4
    assert all(service.graph(key) is not None for key in keys)  # the others come from the disk


# -- cancel


def test_cancel_a_queued_job(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    first = running(service, 1)
    second, third = (service.submit(request(i), ANN) for i in (2, 3))
    view = service.cancel(second.id, ANN)
    assert view is not None
    assert view.state is JobState.CANCELLED
    assert see(service, third).position == 1
    engine.brake.set()
    assert finish(service, third).state is JobState.DONE
    assert finish(service, first).state is JobState.DONE
    assert engine.traced == [(1,), (3,)]


def test_cancel_a_running_job_soon(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    asked = time.monotonic()
    view = service.cancel(job.id, ANN)
    assert view is not None
    assert view.cancel_requested or view.over
    assert time.monotonic() - asked < 1
    assert finish(service, job).state is JobState.CANCELLED
    assert time.monotonic() - asked < 3
    assert service.graph(job.key) is None
    engine.brake.set()
    assert finish(service, service.submit(request(2), ANN)).state is JobState.DONE  # the worker is free again


def test_a_job_with_two_watchers_is_cancelled_by_the_last(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    assert service.submit(request(1), BOB).id == job.id
    service.cancel(job.id, ANN)
    service.cancel(job.id, ANN)  # a second click is no second vote
    time.sleep(0.1)
    assert (see(service, job).state, see(service, job).watchers) == (JobState.RUNNING, (BOB.id,))
    service.cancel(job.id, BOB)
    assert finish(service, job).state is JobState.CANCELLED


def test_only_a_watcher_can_cancel(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    service.cancel(job.id, BOB)
    time.sleep(0.1)
    assert not see(service, job).cancel_requested
    assert service.cancel("unheard of", ANN) is None


def test_a_cancelled_request_can_be_asked_again_at_once(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    service.cancel(job.id, ANN)
    again = service.submit(request(1), BOB)
    assert again.id != job.id
    engine.brake.set()
    assert finish(service, again).state is JobState.DONE


# -- failures


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (tracer.TracerError("row sums are off: use float32"), "row sums are off: use float32"),
        (MemoryError(), "out of memory: trace fewer nodes or a shorter prompt"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out of memory: trace fewer nodes or a shorter prompt"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory: trace fewer nodes"),
        (KeyError("x\ny"), "unexpected error: KeyError: 'x\\ny' (details in the log)"),
        (ValueError("one\ntwo"), "unexpected error: ValueError: one (details in the log)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_one_line_and_isolated(
    service: Service, engine: FakeEngine, trouble: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine.brake.clear()
    engine.trouble = trouble
    job = service.submit(request(1), ANN)
    after = service.submit(request(2), BOB)
    engine.brake.set()
    failed = finish(service, job)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.startswith(message)
    assert "\n" not in failed.error
    assert ("Traceback" in caplog.text) == ("unexpected" in message)
    assert finish(service, after).state is JobState.DONE
    again = service.submit(request(1), ANN)  # a failure is not kept
    assert finish(service, again).state is JobState.DONE


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_killed_worker_is_replaced(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    waiting = service.submit(request(2), BOB)
    killed = service._worker
    assert killed is not None
    engine.trouble = SystemExit()  # goes past `except Exception` and ends the thread
    engine.brake.set()
    killed.join(5)
    assert not killed.is_alive()
    view = finish(service, job)
    assert (view.state, view.error) == (JobState.FAILED, "interrupted; run it again")
    assert service.model_state().state == "ready"
    assert finish(service, waiting).state is JobState.DONE
    assert finish(service, service.submit(request(1), ANN)).state is JobState.DONE
    assert engine.loads == ["first"]  # the model was kept


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_killed_while_it_loads(cold: Service, engine: FakeEngine) -> None:
    engine.load_trouble = SystemExit()
    cold.start()
    until(lambda: cold.model_state().state == "failed")
    assert cold.model_state().error == "loading was interrupted; try again"
    cold.retry_load(ANN)
    until(lambda: cold.model_state().state == "ready")


# -- what is refused


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request(), "no tokens"),
        (request(*range(9)), "HYPOGRAPH_MAX_TOKENS"),
        (request(1, 1000), "1000 is not in the model's vocabulary"),
        (request(-1), "-1 is not"),
        (request(1, targets=(1000,)), "1000 is not"),
        (request(1, targets=tracer.Difference(1, 1000)), "1000 is not"),
    ],
    ids=repr,
)
def test_refused_before_it_queues(service: Service, engine: FakeEngine, asked: TraceRequest, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        service.submit(asked, ANN)
    assert "\n" not in str(caught.value)
    assert service.jobs() == []


def test_the_longest_prompt_is_not_refused(service: Service) -> None:
    service.submit(request(*range(7), 999, targets=(999,)), ANN)


def test_a_full_queue_refuses_but_joins_and_hits(service: Service, engine: FakeEngine) -> None:
    finish(service, service.submit(request(9), ANN))
    engine.brake.clear()
    first = running(service, 0)
    jobs = [service.submit(request(i), ANN) for i in (1, 2, 3, 4)]
    with pytest.raises(Refused, match="HYPOGRAPH_QUEUE"):
        service.submit(request(5), ANN)
    assert service.submit(request(4), BOB).id == jobs[-1].id
    assert service.submit(request(0), BOB).id == first.id
    assert service.submit(request(9), BOB).cached
    service.cancel(jobs[0].id, ANN)
    service.submit(request(5), ANN)


def test_refused_without_a_model(cold: Service, engine: FakeEngine) -> None:
    engine.load_brake.clear()
    cold.start()
    with pytest.raises(Refused, match="still being loaded"):
        cold.submit(request(1), ANN)
    engine.load_trouble = tracer.TracerError("the weights are torn: delete the folder")
    engine.load_brake.set()
    until(lambda: cold.model_state().state == "failed")
    with pytest.raises(Refused, match="the weights are torn"):
        cold.submit(request(1), ANN)


# -- the model


def test_loading_shows_its_progress(cold: Service, engine: FakeEngine) -> None:
    engine.load_brake.clear()
    cold.start()
    until(lambda: cold.model_state().phase == "convert")
    view = cold.model_state()
    assert (view.state, view.name, view.error) == ("loading", "first", None)
    assert 0 < view.fraction < 1
    assert cold.model is None
    engine.load_brake.set()
    until(lambda: cold.model_state().state == "ready")
    assert cold.model is not None
    assert cold.model.name == "first"
    assert cold.model_state().fraction == 1.0


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (tracer.TracerError("no such model"), "no such model"),
        (MemoryError(), "HYPOGRAPH_MODEL"),
        (OSError("torn"), "unexpected error: OSError: torn"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failed_load_can_be_retried(cold: Service, engine: FakeEngine, trouble: Exception, message: str) -> None:
    engine.load_trouble = trouble
    cold.start()
    until(lambda: cold.model_state().state == "failed")
    assert message in (cold.model_state().error or "")
    time.sleep(0.05)
    assert engine.loads == ["first"]  # not by itself
    cold.retry_load(ANN)
    until(lambda: cold.model_state().state == "ready")
    assert cold.model_state().error is None
    assert engine.loads == ["first", "first"]


def test_switching_waits_for_the_jobs_of_the_old_model(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    jobs = [running(service, 1), service.submit(request(2), BOB)]
    service.switch_model("second", "neurons", ANN)
    view = service.model_state()
    assert (view.state, view.name, view.switching_to) == ("ready", "first", Choice("second", "neurons"))
    with pytest.raises(Refused, match="second is still being loaded"):
        service.submit(request(3), ANN)
    assert engine.loads == ["first"]
    engine.brake.set()
    assert [finish(service, job).state for job in jobs] == [JobState.DONE] * 2
    until(lambda: service.model_state().name == "second" and service.model_state().state == "ready")
    assert service.model_state().switching_to is None
    third = finish(service, service.submit(request(1), ANN))
    assert not third.cached  # another model, another key
    assert engine.models == ["first", "first", "second"]


def test_the_old_model_is_gone_before_the_new_one_is_loaded(service: Service, engine: FakeEngine) -> None:
    finish(service, service.submit(request(1), ANN))
    old = weakref.ref(service.model)
    engine.load_brake.clear()
    service.switch_model("second", "neurons", ANN)
    until(lambda: engine.loads == ["first", "second"])
    assert old() is None


def test_switching_while_loading_gives_that_load_up(cold: Service, engine: FakeEngine) -> None:
    engine.load_brake.clear()
    cold.start()
    until(lambda: cold.model_state().phase == "convert")
    cold.switch_model("second", "neurons", ANN)
    until(lambda: engine.loads == ["first", "second"])
    engine.load_brake.set()
    until(lambda: cold.model_state().state == "ready")
    assert cold.model_state().name == "second"


def test_the_trouble_of_a_model_that_nobody_wants_any_more_is_not_told() -> None:
    slot = ModelSlot(Choice("first", "neurons"))
    slot.begin()
    slot.want(Choice("second", "neurons"))
    slot.fail("no such model")
    assert (slot.view().state, slot.view().name) == ("loading", "second")
    assert slot.needs_loading


def test_another_feature_set_takes_the_same_weights(service: Service, engine: FakeEngine) -> None:
    service.switch_model("first", "a/set", ANN)
    until(lambda: service.model_state().features == "a/set" and service.model is not None)
    assert engine.features == [("neurons", None), ("a/set", "first")]
    service.switch_model("second", "a/set", ANN)
    until(lambda: service.model_state().name == "second" and service.model is not None)
    assert engine.features[-1] == ("a/set", None)


def test_a_feature_set_that_does_not_load_leaves_the_old_one(service: Service, engine: FakeEngine) -> None:
    engine.load_trouble = tracer.TracerError("no such set")
    service.switch_model("first", "a/set", ANN)
    until(lambda: service.model_state().trouble is not None)
    view = service.model_state()
    assert (view.state, view.name, view.features, view.trouble) == ("ready", "first", "neurons", "no such set")
    assert service.model is not None and service.submit(request(1, 2), ANN).error is None
    service.switch_model("first", "b/set", ANN)
    until(lambda: service.model_state().features == "b/set")
    assert service.model_state().trouble is None


def test_going_back_during_a_change_of_features_keeps_the_weights() -> None:
    first, other = Choice("first", "neurons"), Choice("first", "a/set")
    slot = ModelSlot(first)
    slot.begin()
    slot.fill(model := object())  # type: ignore[arg-type]
    slot.want(other)
    _, old = slot.begin()
    slot.want(first)
    slot.fail(None, old, first)
    assert slot.model is model and not slot.needs_loading


def test_one_can_go_back_from_a_model_that_does_not_load(service: Service, engine: FakeEngine) -> None:
    engine.load_trouble = tracer.TracerError("no such model")
    service.switch_model("second", "neurons", ANN)
    until(lambda: service.model_state().state == "failed")
    assert service.model is None
    service.switch_model("first", "neurons", ANN)
    until(lambda: service.model_state().state == "ready")
    assert service.model_state().name == "first"


# -- life


def test_stop_lets_the_running_job_finish(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    waiting = service.submit(request(2), ANN)
    threading.Timer(0.2, engine.brake.set).start()
    assert service.stop(5)
    assert see(service, job).state is JobState.DONE
    dropped = see(service, waiting)
    assert dropped.state is JobState.CANCELLED
    assert "server stopped" in (dropped.error or "")
    with pytest.raises(Refused, match="stopping"):
        service.submit(request(3), ANN)


def test_stop_does_not_wait_for_ever(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    assert service.stop(0.1)
    assert see(service, job).state is JobState.CANCELLED


def test_the_end_of_the_process_waits_as_long_as_the_settings_say(settings: Settings, engine: FakeEngine) -> None:
    for seconds, state in ((0, JobState.CANCELLED), (5, JobState.DONE)):
        service = Service(replace(settings, stop_seconds=seconds), load=engine.load)
        service.start()
        until(lambda service=service: service.model_state().state == "ready")  # type: ignore[misc]
        engine.brake.clear()
        job = running(service, seconds)
        threading.Timer(0.3, engine.brake.set).start()
        service.leave()
        assert see(service, job).state is state


def test_stop_gives_up_a_load(cold: Service, engine: FakeEngine) -> None:
    engine.load_brake.clear()
    cold.start()
    until(lambda: cold.model_state().phase == "convert")
    assert cold.stop(2)


def test_started_twice_there_is_one_worker(service: Service) -> None:
    worker = service._worker
    service.start()
    assert service._worker is worker


def test_stopped_and_started_again(service: Service) -> None:
    service.stop()
    service.start()
    assert finish(service, service.submit(request(1), ANN)).state is JobState.DONE


def test_finished_jobs_are_kept_up_to_a_number(service: Service) -> None:
    finish(service, service.submit(request(1), ANN))
    hits = [service.submit(request(1), ANN) for _ in range(250)]
    assert len(service.jobs()) == 200
    assert service.job(hits[0].id) is None
    assert service.job(hits[-1].id) is not None


def test_waiting_ends(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    job = running(service, 1)
    began = time.monotonic()
    view = service.wait(job.id, 0.1)
    assert view is not None
    assert view.state is JobState.RUNNING
    assert time.monotonic() - began < 1
    assert service.wait("unheard of", 5) is None


def test_no_prompt_in_the_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        finish(service, service.submit(request(1, 2, prompt="my secret"), ANN))
    assert "job over" in caplog.text
    assert "secret" not in caplog.text


def test_a_cache_folder_that_cannot_be_written_is_said_at_once(
    settings: Settings, engine: FakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(CacheError, match="HYPOGRAPH_CACHE"):
        Service(settings, load=engine.load)
