"""A real server: what it says on stderr and on its port for machines, from the first page on."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from tests.helpers import saved, tiny_llama
from tests.service.fake_engine import until
from tests.serving import Server, free_port, visited

SECRET = "s3cret-key-of-the-lab"


def answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def test_health_figures_and_log_of_a_server(tmp_path: Path) -> None:
    """One port, however many tabs. Before the first page Streamlit alone speaks."""
    model, port, home = saved(tiny_llama(), tmp_path / "tiny"), free_port(), tmp_path / "home"
    home.mkdir()
    settings = {"HYPOGRAPH_MODEL": str(model), "HYPOGRAPH_METRICS_PORT": str(port), "NEURONPEDIA_API_KEY": SECRET}
    server = Server(home, **settings)
    try:
        visited(server)
        until(lambda: answer(port, "/readyz") == (200, "ready\n"), 90)
        visited(server)
        assert urllib.request.urlopen(f"{server.address}/compare?column=canary&code=canary", timeout=30).status == 200
        assert answer(port, "/healthz") == (200, "ok\n")
        figures = answer(port, "/metrics")[1].splitlines()
        assert "hypograph_model_loaded 1.0" in figures and "hypograph_jobs_waiting 0.0" in figures
    finally:
        written = server.stop()
    assert server.process.returncode == 0
    events = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    said = [event["event"] for event in events]
    assert f"health and metrics on port {port}" in said and any(one.startswith("loaded ") for one in said)
    assert said.count("stopping") == 1
    assert SECRET not in written
    assert "canary" not in written and "[accepted]" not in written, "no address of a page, nor of a visitor"
