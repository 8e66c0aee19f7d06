"""Dashboards are built while nothing else is to be done, and give way to whoever comes."""

import dataclasses
import threading
import time
from pathlib import Path

import pytest
import torch

import tracer
from service import JobState, Service, Settings, TraceRequest, background
from tests.helpers import PROMPT, saved, somebody, tiny_llama
from tracer.dashboards import build as building
from tracer.dashboards import corpus, store


@pytest.fixture
def tiny_settings(settings: Settings, tmp_path: Path) -> Settings:
    model = str(saved(tiny_llama(), tmp_path / "tiny"))
    return dataclasses.replace(settings, model=model, build_dashboards=True, max_tokens=64, cache_gb=1.0)


@pytest.fixture
def short_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(_path: Path, _model: tracer.ReplacementModel) -> torch.Tensor:
        return torch.randint(1, 50, (40, corpus.CONTEXT), generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr(background.corpus, "contexts", rows)


def until(found, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def test_they_are_built_once_by_themselves(tiny_settings: Settings, short_corpus: None) -> None:
    service = Service(tiny_settings)
    service.start()
    until(lambda: service.dashboards() == 1.0)
    model = service.model
    assert model is not None
    folder = tiny_settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    assert store.read(folder, 1, 5) is not None
    made = (folder / "meta.json").stat().st_mtime_ns
    assert service.stop(10)
    again = Service(tiny_settings)
    again.start()
    until(lambda: again.model is not None)
    assert again.dashboards() == 1.0
    assert again.stop(10)
    assert (folder / "meta.json").stat().st_mtime_ns == made


def test_a_trace_does_not_wait_for_them(
    tiny_settings: Settings, short_corpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, real = threading.Event(), building._pass

    def a_pass(model, batch):
        slow.wait(0.1)
        return real(model, batch)

    monkeypatch.setattr(building, "_pass", a_pass)
    service = Service(tiny_settings)
    service.start()
    until(lambda: 0 < (service.dashboards() or 0) < 1)
    model = service.model
    assert model is not None
    job = service.submit(TraceRequest(tokens=tuple(model.token_ids(PROMPT)), prompt=PROMPT), somebody("ada"))
    over = service.wait(job.id, 20)
    assert over is not None and over.state is JobState.DONE
    assert (service.dashboards() or 0) < 1
    slow.set()
    until(lambda: service.dashboards() == 1.0)
    assert service.stop(10)


def test_where_they_fail_the_service_goes_on(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise tracer.TracerError("no corpus")

    monkeypatch.setattr(background.corpus, "contexts", broken)
    service = Service(tiny_settings)
    service.start()
    until(lambda: "no feature dashboards: no corpus" in caplog.text)
    assert service.dashboards() is None and service.model is not None
    assert service.stop(10)


def test_they_can_be_switched_off(tiny_settings: Settings, short_corpus: None) -> None:
    service = Service(dataclasses.replace(tiny_settings, build_dashboards=False))
    service.start()
    until(lambda: service.model is not None)
    time.sleep(0.3)
    assert service.dashboards() is None
    assert service.stop(10)
