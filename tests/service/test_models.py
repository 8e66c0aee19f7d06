"""One more model beside the loaded one: loaded, shared, refused, given up; the loaded one is never touched."""

import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

import tracer
from service import Choice, JobState, Service, TraceRequest, models
from tests.helpers import saved, somebody, tiny_llama
from tests.service.fake_engine import FakeEngine, until
from tracer.model.here import SHARE, features_are_here, model_is_here

ANN = somebody("ann")

SECOND, THIRD = Choice("second", "neurons"), Choice("third", "neurons")
ROOT = Path(__file__).resolve().parents[2]


def loaded(service: Service, choice: Choice) -> tracer.ReplacementModel:
    service.load_beside(choice, ANN)
    until(lambda: service.beside(choice) is not None)
    found = service.beside(choice)
    assert found is not None
    return found


def refused(service: Service, choice: Choice) -> str:
    service.load_beside(choice, ANN)
    until(lambda: (view := service.beside_state(choice)) is not None and view.error is not None)
    view = service.beside_state(choice)
    assert view is not None and view.error is not None and service.beside(choice) is None
    return view.error


def test_a_second_model_is_there_and_the_loaded_one_is_untouched(service: Service, engine: FakeEngine) -> None:
    first = service.model
    assert service.beside_state(SECOND) is None and service.beside(SECOND) is None
    second = loaded(service, SECOND)
    assert second.name == "second" and service.model is first and service.model_state().switching_to is None
    assert engine.features == [("neurons", None), ("neurons", None)]
    job = service.wait(service.submit(TraceRequest(tokens=(1, 2)), ANN).id, 10)
    assert job is not None and job.state is JobState.DONE and engine.models == ["first"]
    service.load_beside(SECOND, ANN)
    assert service.beside(SECOND) is second and engine.loads == ["first", "second"], "it is kept"


def test_another_one_takes_its_place_and_its_memory(service: Service, engine: FakeEngine) -> None:
    old = weakref.ref(loaded(service, SECOND))
    engine.load_brake.clear()
    service.load_beside(THIRD, ANN)
    assert service.beside(SECOND) is None
    until(lambda: engine.loads[-1] == "third")
    assert old() is None, "before the next one comes"
    view = service.beside_state(THIRD)
    assert view is not None and (view.state, view.name) == ("loading", "third") and view.fraction < 1
    engine.load_brake.set()
    until(lambda: service.beside(THIRD) is not None)


def test_it_goes_when_the_loaded_model_changes(service: Service, engine: FakeEngine) -> None:
    old = weakref.ref(loaded(service, SECOND))
    engine.load_brake.clear()
    service.switch_model("third", "neurons", ANN)
    until(lambda: engine.loads[-1] == "third")
    assert old() is None and service.beside_state(SECOND) is None
    engine.load_brake.set()


def test_other_features_of_the_loaded_model_take_its_weights(service: Service, engine: FakeEngine) -> None:
    loaded(service, Choice("first", "a/set"))
    assert engine.features[-1] == ("a/set", "first")
    assert service.model is not None and service.model_state().features == "neurons"


def test_one_that_does_not_load_is_a_line_and_can_be_asked_for_again(service: Service, engine: FakeEngine) -> None:
    engine.load_trouble = tracer.TracerError("the weights are torn")
    assert refused(service, SECOND) == "the weights are torn"
    assert service.model is not None and service.model_state().state == "ready"
    assert service.submit(TraceRequest(tokens=(1,)), ANN).error is None
    loaded(service, SECOND)


def test_weights_that_do_not_fit_are_refused_with_both_figures(
    service: Service, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_llama()
    choice = Choice(str(saved(model, tmp_path / "tiny")), "neurons")
    need = 4 * sum(parameter.numel() for parameter in model.parameters())
    for free, fits in ((need / SHARE - 10, False), (need / SHARE + 10, True)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: SimpleNamespace(available=free))
        if fits:
            loaded(service, choice)
        else:
            said = refused(service, choice)
            assert f"take {need / 1e9:.3g} GB" in said and f"{free / 1e9:.3g} GB of memory are free" in said
            assert engine.loads == ["first"], "before anything is read"
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0))
    loaded(service, Choice("first", "a/set"))  # takes no weights of its own


def test_a_load_is_given_up(service: Service, engine: FakeEngine) -> None:
    engine.load_brake.clear()
    service.load_beside(SECOND, ANN)
    until(lambda: engine.loads == ["first", "second"])
    service.give_up_beside(THIRD, ANN)
    assert service.beside_state(SECOND) is not None, "another one's"
    service.give_up_beside(SECOND, ANN)
    assert service.beside_state(SECOND) is None
    job = service.wait(service.submit(TraceRequest(tokens=(1,)), ANN).id, 10)
    assert job is not None and job.state is JobState.DONE, "the worker is free, though the brake is on"


def test_stop_gives_it_up(service: Service, engine: FakeEngine) -> None:
    engine.load_brake.clear()
    service.load_beside(SECOND, ANN)
    until(lambda: engine.loads == ["first", "second"])
    assert service.stop(2)


LEAVES = """
import sys, time, tracer
from lab import Person, Role
from service import Choice, Service, Settings
def load(name, *, progress, **rest):
    while name == "slow":
        progress("load", 0.5)
        time.sleep(0.01)
    return tracer.load(name, progress=progress, **rest)
service = Service(Settings.from_env(), load)
service.start()
def until(there):
    while not there():
        assert service.model_state().error is None
        time.sleep(0.02)
until(lambda: service.model is not None)
tiny = Choice(sys.argv[1], "neurons")
ann = Person("ann", "ann", Role.ADMIN)
service.load_beside(tiny, ann)
until(lambda: service.beside(tiny) is not None)
slow = Choice("slow", "neurons")
service.load_beside(slow, ann)
until(lambda: service.beside_state(slow).phase == "load")
"""


def test_a_process_that_ends_meanwhile_ends_well(tmp_path: Path) -> None:
    """With torch's own threads, which abort a process whose threads are cut off."""
    folders = [str(saved(tiny_llama(seed=i), tmp_path / f"tiny{i}")) for i in range(2)]
    settings = {"HYPOGRAPH_HOME": str(tmp_path), "HYPOGRAPH_MODEL": folders[0]}
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES, folders[1]], cwd=ROOT, env=os.environ | settings, capture_output=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert b"terminate called" not in ended.stderr and b"Traceback" not in ended.stderr


def test_what_is_on_this_machine(tmp_path: Path) -> None:
    tiny = saved(tiny_llama(), tmp_path / "tiny")
    assert model_is_here(str(tiny), tmp_path) and features_are_here(str(tiny), "neurons")
    assert features_are_here(str(tiny), str(tmp_path)), "a folder, whatever it holds"
    for name in ("", "gemma-2-2b", "org/unknown", "../..", "org/../..", "\0", "~nobody/x", "x" * 9999, str(tmp_path)):
        assert not model_is_here(name, tmp_path), name
    for name in ("", "plt-16k", "org/unknown/deep@main", "org/name/../../..", "\0", "x" * 9999):
        assert not features_are_here("gemma-2-2b", name), name


# -- a budget for several


GB = 1_000_000_000


@pytest.fixture
def roomy(service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Service:
    """3.5 GB for models of 1 GB each; the loaded one takes 1 GB."""
    engine.weights = {"second": GB, "third": GB, "fourth": GB, "huge": 3 * GB}
    assert service.model is not None
    service.model.anatomy.weight_bytes = GB  # type: ignore[misc]
    service.settings = replace(service.settings, models_gb=3.5)
    monkeypatch.setattr(models, "weight_bytes", lambda name, *_where: engine.weights.get(name, 0))
    return service


FOURTH, HUGE = Choice("fourth", "neurons"), Choice("huge", "neurons")


def names(service: Service) -> list[str]:
    """The loaded one first, then as they were used, the latest first."""
    return [one.choice.model for one in service.loaded_models()]


def test_the_one_longest_unused_makes_room(roomy: Service, engine: FakeEngine) -> None:
    old = weakref.ref(loaded(roomy, SECOND))
    loaded(roomy, THIRD)
    assert names(roomy) == ["first", "third", "second"] and len({one.bytes for one in roomy.loaded_models()}) == 1
    assert roomy.beside(SECOND) is not None, "looked at again: now the third is the one longest unused"
    loaded(roomy, FOURTH)
    assert names(roomy) == ["first", "fourth", "second"] and roomy.beside_state(THIRD) is None and old() is not None
    loaded(roomy, THIRD)
    assert names(roomy) == ["first", "third", "fourth"] and old() is None, "and its memory is free"
    assert engine.loads == ["first", "second", "third", "fourth", "third"]


def test_what_is_in_use_is_not_unloaded(roomy: Service, engine: FakeEngine) -> None:
    for choice in (SECOND, THIRD):
        loaded(roomy, choice)
    with roomy.in_use([SECOND]):
        loaded(roomy, FOURTH)
        assert names(roomy) == ["first", "fourth", "second"], "the older one is in use"
        with roomy.in_use([FOURTH]):
            said = refused(roomy, THIRD)
    assert said.startswith("its weights take 1 GB, and of the 3.5 GB for models (HYPOGRAPH_MODELS_GB) 3 GB are in use")
    assert engine.loads[-1] == "fourth", "before anything is read"
    loaded(roomy, THIRD)
    assert names(roomy) == ["first", "third", "fourth"] or names(roomy) == ["first", "third", "second"]


def test_one_too_large_for_the_budget_is_refused(roomy: Service, engine: FakeEngine) -> None:
    assert "its weights take 3 GB" in refused(roomy, HUGE) and engine.loads == ["first"]
    assert roomy.model_state().state == "ready"


def test_weights_that_serve_two_count_once(roomy: Service) -> None:
    loaded(roomy, Choice("first", "a/set"))
    loaded(roomy, SECOND)
    loaded(roomy, THIRD)
    assert names(roomy) == ["first", "third", "second", "first"], "four models, 3 GB"


def test_a_switch_back_needs_no_load(roomy: Service, engine: FakeEngine) -> None:
    first = roomy.model
    loaded(roomy, SECOND)
    roomy.switch_model("second", "neurons", ANN)
    until(lambda: roomy.model_state().name == "second" and roomy.model is not None)
    assert names(roomy) == ["second", "first"]
    job = roomy.wait(roomy.submit(TraceRequest(tokens=(1, 2)), ANN).id, 10)
    assert job is not None and job.state is JobState.DONE and engine.models == ["second"]
    roomy.switch_model("first", "neurons", ANN)
    until(lambda: roomy.model is first)
    assert engine.loads == ["first", "second"]


def test_a_large_one_takes_the_place_of_all(roomy: Service, engine: FakeEngine) -> None:
    loaded(roomy, SECOND)
    roomy.switch_model("huge", "neurons", ANN)
    until(lambda: roomy.model_state().name == "huge" and roomy.model is not None)
    assert names(roomy) == ["huge"]


def test_the_old_one_serves_on_where_the_new_one_fails(roomy: Service, engine: FakeEngine) -> None:
    first = roomy.model
    engine.load_trouble = tracer.TracerError("the weights are torn")
    roomy.switch_model("second", "neurons", ANN)
    until(lambda: roomy.model_state().trouble is not None)
    assert roomy.model is first and roomy.model_state().state == "ready" and names(roomy) == ["first"]
