"""Health and figures: ready or why not, what Prometheus reads, one port a process."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine

from lab import Lab, pulse
from service import Service, Settings, TraceRequest
from service.monitor import Monitor, health_app
from tests.helpers import somebody
from tests.service.fake_engine import FakeEngine, until

ANN = somebody("ann")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    monitor = Monitor()
    yield monitor
    monitor.stop()


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def figures(port: int) -> dict[tuple[str, str], float]:
    """By name and the values of its labels."""
    status, text = ask(port, "/metrics")
    assert status == 200
    families = text_string_to_metric_families(text)
    return {(one.name, " ".join(one.labels.values())): one.value for family in families for one in family.samples}


def serve(monitor: Monitor, port: int, service: Service) -> None:
    monitor.serve(port, health_app(service.not_ready, service.metrics.registry))


def test_ready_once_the_model_is_there(cold: Service, engine: FakeEngine, monitor: Monitor, port: int) -> None:
    serve(monitor, port, cold)
    engine.load_brake.clear()
    cold.start()
    assert ask(port, "/healthz") == (200, "ok\n")
    assert ask(port, "/readyz") == (503, "loading\n") and figures(port)["hypograph_model_loaded", ""] == 0
    engine.load_brake.set()
    until(lambda: cold.model is not None)
    assert ask(port, "/readyz") == (200, "ready\n") and figures(port)["hypograph_model_loaded", ""] == 1
    assert ask(port, "/")[0] == 404 and ask(port, "/metrics/../secrets")[0] == 404
    cold.stop()
    assert ask(port, "/readyz") == (503, "stopping\n") and ask(port, "/healthz")[0] == 200


def test_a_failed_load_is_not_ready(cold: Service, engine: FakeEngine) -> None:
    engine.load_trouble = ValueError("no")
    cold.start()
    until(lambda: cold.model_state().state == "failed")
    assert cold.not_ready() == "failed"


def test_a_record_that_does_not_answer_is_not_ready(
    settings: Settings, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that hangs: nobody waits for it longer than a probe may."""
    lab = Lab(settings.database)
    service = Service(settings, engine.load, lab)
    service.start()
    until(lambda: service.model is not None)
    assert service.not_ready() is None
    there = lab._engine
    monkeypatch.setattr(lab, "_engine", create_engine(f"sqlite:///{tmp_path}/no/such.sqlite"))
    assert service.not_ready() == "record"
    monkeypatch.setattr(lab, "_engine", there)
    monkeypatch.setattr(pulse, "SECONDS", 0.05)
    hangs = [True]
    monkeypatch.setattr(lab, "touch", lambda: until(lambda: not hangs[0]))
    assert [service.not_ready(), service.not_ready()] == ["record", "record"]
    hangs[0] = False
    until(lambda: service.not_ready() is None)
    assert service.stop(5)


def test_figures(service: Service, engine: FakeEngine, monitor: Monitor, port: int) -> None:
    serve(monitor, port, service)
    engine.brake.clear()
    first = service.submit(TraceRequest((1,)), ANN)
    until(lambda: (view := service.job(first.id)) is not None and view.phase == "sweep")
    second = service.submit(TraceRequest((2,)), ANN)
    now = figures(port)
    assert (now["hypograph_jobs_running", ""], now["hypograph_jobs_waiting", ""]) == (1, 1)
    engine.brake.set()
    assert service.wait(second.id, 10)
    service.submit(TraceRequest((1,)), ANN)
    engine.trouble = ValueError("no")
    assert service.wait(service.submit(TraceRequest((3,)), ANN).id, 10)
    now = figures(port)
    assert (now["hypograph_jobs_running", ""], now["hypograph_jobs_waiting", ""]) == (0, 0)
    assert (now["hypograph_cache_hits_total", ""], now["hypograph_cache_misses_total", ""]) == (1, 3)
    assert now["hypograph_jobs_total", "trace done"] == 2, "without the one that was found"
    assert now["hypograph_jobs_total", "trace failed"] == 1
    assert now["hypograph_job_seconds_count", "trace"] == 3
    assert now["hypograph_cache_graphs", ""] == 2 and now["hypograph_cache_bytes", ""] == service.cache.volume()
    assert now["process_resident_memory_bytes", ""] > 1e6


def test_a_figure_that_can_not_be_had_spoils_no_other(service: Service, monitor: Monitor, port: int) -> None:
    serve(monitor, port, service)

    def broken() -> float:
        raise OSError("the disk is gone")

    service.metrics.watch("broken", "fails", broken)
    now = figures(port)
    assert now["hypograph_broken", ""] != now["hypograph_broken", ""] and now["hypograph_model_loaded", ""] == 1


def test_one_port_a_process(service: Service, settings: Settings, monitor: Monitor, port: int, tmp_path: Path) -> None:
    serve(monitor, port, service)
    other = Service(replace(settings, cache=tmp_path / "other"))
    serve(monitor, port, other)
    assert monitor.problem is None and ask(port, "/readyz") == (503, "loading\n"), "the one that came last"


def test_a_taken_port_is_a_line(service: Service, monitor: Monitor, port: int) -> None:
    serve(monitor, port, service)
    second = Monitor()
    serve(second, port, service)
    assert second.problem is not None
    assert second.problem.startswith(f"port {port} can't be used (") and "HYPOGRAPH_METRICS_PORT" in second.problem


def test_only_this_machine_hears_it(service: Service, monitor: Monitor, port: int) -> None:
    serve(monitor, port, service)
    assert monitor._server is not None and monitor._server.server_address[0] == "127.0.0.1"
