"""Memory that runs out deep in the engine fails that job alone: what it took is given back, and the next one runs."""

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch

from service import JobState, JobView, Service, Settings, TraceRequest
from tests.helpers import somebody
from tests.lab.runs import tiny
from tests.service.fake_engine import until
from tracer.attribution.sweep import Sweep

ANN, BOB = somebody("ann"), somebody("bob")


@pytest.fixture(autouse=True)
def graph_class() -> None:
    """Real graphs here."""


@pytest.fixture
def real(settings: Settings) -> Iterator[Service]:
    service = Service(settings, load=lambda *_, **__: tiny.model())
    service.start()
    until(lambda: service.model is not None)
    yield service
    assert service.stop(10)


def ended(service: Service, job: JobView) -> JobView:
    view = service.wait(job.id, 30)
    assert view is not None and view.over
    return view


def test_that_job_alone_fails(real: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[object]] = []
    sweep = Sweep._sweep

    def full_at_first(self: Sweep, *arguments: object, **options: object) -> object:
        if held:  # two threads may come at once
            return sweep(self, *arguments, **options)  # type: ignore[arg-type]
        taken = torch.ones(1000, 1000)
        held.extend([weakref.ref(self), weakref.ref(taken)])
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 TiB")

    monkeypatch.setattr(Sweep, "_sweep", full_at_first)
    real.pause(True, ANN)
    first, second = real.submit(TraceRequest((0, 4, 9)), ANN), real.submit(TraceRequest((0, 9, 2)), BOB)
    real.pause(False, ANN)
    failed = ended(real, first)
    assert failed.state is JobState.FAILED and failed.error is not None and "\n" not in failed.error
    for advice in ("ran out: trace fewer nodes or a shorter prompt", "HYPOGRAPH_OFFLOAD=1"):
        assert advice in failed.error
    assert ended(real, second).state is JobState.DONE
    gc.collect()
    assert held and not any(one() for one in held), "its tensors are gone, though the job is still listed"
    assert real.model_state().state == "ready"
    assert ended(real, real.submit(TraceRequest((0, 4, 9)), ANN)).state is JobState.DONE
