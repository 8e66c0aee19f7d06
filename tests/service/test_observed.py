"""A real server: what it says on stderr and on its port for machines, from the first page on."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from tests.helpers import saved, tiny_llama
from tests.service.fake_engine import until
from tests.service.real_server import Server, free_port

SECRET = "s3cret-key-of-the-lab"


def answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def test_health_figures_and_log_of_a_server(tmp_path: Path) -> None:
    """One port, however many tabs; a second server on it runs all the same, and says so."""
    model, port = saved(tiny_llama(), tmp_path / "tiny"), free_port()
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    settings = {"HYPOGRAPH_METRICS_PORT": str(port), "NEURONPEDIA_API_KEY": SECRET, "HYPOGRAPH_DASHBOARDS": "0"}
    server = Server(first, model, **settings)
    try:
        until(lambda: answer(port, "/readyz") == (200, "ready\n"), 90)
        assert server.visited() and answer(port, "/healthz") == (200, "ok\n")
        figures = answer(port, "/metrics")[1].splitlines()
        assert "hypograph_model_loaded 1.0" in figures and "hypograph_jobs_waiting 0.0" in figures
        other = Server(second, model, **settings)
        try:
            assert other.visited()
        finally:
            assert other.stop() == 0
        assert f"port {port} can't be used" in other.log.read_text()
    finally:
        server.process.terminate()
        assert server.process.wait(60) == 0
    for log in (server.log, other.log):
        events = [json.loads(line) for line in log.read_text().splitlines()]
        assert any(event["event"].startswith("loaded ") for event in events)
        assert SECRET not in log.read_text()
    assert SECRET not in server.out.read_text()
