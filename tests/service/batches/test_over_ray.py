"""Batches over a real Ray cluster of this machine, two workers, with a token: the same graphs, nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import tracer
from cli.main import main
from lab import HypothesisFile
from lab.freeze import write
from lab.runs.bundle import read as read_bundle
from service import JobState, Service, Settings, TraceRequest
from service.batches.folder import read
from service.batches.over_ray import Actors, Cluster
from service.batches.workers import Lost
from tests.helpers import saved, somebody, tiny_llama
from tests.lab.runs.tiny import hypothesis
from tests.service.batches.equal import equal
from tests.service.fake_engine import until
from tracer import TracerError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved(tiny_llama(), tmp_path_factory.mktemp("models") / "llama"))


@pytest.fixture(scope="module")
def head() -> Iterator[subprocess.Popen]:
    """A cluster that was there before: as `ray start` makes it, which reports nothing and has no dashboard."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as scratch:
        for name, value in {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": f"127.0.0.1:{port}",
        }.items():
            patched.setenv(name, value)
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
        command += [f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
        command += ["--object-store-memory=80000000", f"--temp-dir={scratch}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if "Ray runtime started" in line:
                    break
            else:
                pytest.fail("".join(said))
            yield process
            started = [process, *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            process.wait(30)
            psutil.wait_procs(started[1:], 10)
            for left in started[1:]:
                with suppress(psutil.NoSuchProcess):
                    left.kill()


def names(head: subprocess.Popen) -> dict[str, int]:
    """What its processes call themselves, and their ids."""
    found = {}
    for process in psutil.Process(head.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            found[f"{' '.join(process.cmdline()[:1])} {process.pid}"] = process.pid
    return found


def workers(head: subprocess.Popen) -> list[int]:
    return [pid for name, pid in names(head).items() if "ray::Worker" in name]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.csv"
    rows = [f"w{i} w{(7 * i) % 50} w3 w{i % 11}," for i in range(12)]
    path.write_text("\n".join(["prompt,target", *rows, "w1,w1 w2"]))
    return path


def test_a_worker_killed_in_the_middle_loses_nothing_and_graphs_are_those_of_one_process(
    head: subprocess.Popen,
    model: str,
    prompts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["batch", str(prompts), "--model", model, "--max-nodes", "40", "--out"]
    assert main([*command, str(tmp_path / "here")]) == 1
    over_ray = [*command, str(tmp_path / "there"), "--ray", os.environ["RAY_ADDRESS"], "--workers", "2"]
    before: list[int] = []

    def show(phase: str, _fraction: float) -> None:
        if phase.endswith(" prompts") and not before:
            until(lambda: len(workers(head)) == 2)
            before.extend(workers(head))
            os.kill(before[0], signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr("cli.common.show", show)
        assert main(over_ray) == 1
    said, told = capsys.readouterr()
    assert "graphs in" not in said and told.count("1 of 13 prompts failed, row 13 first ('w1 w2' is 2 tokens") == 2
    assert len(before) == 2
    here, there = read(tmp_path / "here"), read(tmp_path / "there")
    assert here.items == there.items and len(there.left()) == 1
    for item in here.items[:-1]:
        assert equal(here.graph(item.key), there.graph(item.key))
        one, other = here.outcome(item.key), there.outcome(item.key)
        assert one is not None and other is not None and one.summary == other.summary


def test_a_hypothesis_over_two_workers_comes_to_the_same_figures(
    head: subprocess.Popen,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `test` does in this process, in another record."""
    draft = tmp_path / "draft.yaml"
    about = hypothesis(model=model, model_fingerprint=None, basis_fingerprint=None)
    draft.write_text(write(HypothesisFile(hypothesis=about)))
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.setenv("HYPOGRAPH_DATABASE_URL", f"sqlite:///{tmp_path}/here.sqlite")
    assert main(["test", str(draft), "--out", str(here)]) == 0
    monkeypatch.setenv("HYPOGRAPH_DATABASE_URL", f"sqlite:///{tmp_path}/there.sqlite")
    over_ray = ["batch", "--hypothesis", str(draft), "--out", str(there), "--ray", "auto", "--workers", "2"]
    assert main(over_ray) == 0
    assert capsys.readouterr().out.count("exploratory: the hypothesis was not frozen") == 2
    one, other = read_bundle(here), read_bundle(there)
    assert one.kept.prompts == other.kept.prompts and one.kept.drawn == other.kept.drawn
    assert one.run.made_with == other.run.made_with and one.found == other.found


def test_the_dashboard_traces_on_a_worker(
    head: subprocess.Popen, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue, progress and cancel are as ever."""
    monkeypatch.setenv("HYPOGRAPH_RAY_ADDRESS", os.environ["RAY_ADDRESS"])
    settings = replace(Settings.from_env(), home=tmp_path, cache=tmp_path / "cache", model=model, device="cpu")
    service, ada = Service(settings), somebody("ada")
    service.start()
    try:
        until(lambda: service.model_state().state == "ready", 60)
        long = service.submit(TraceRequest(tuple(range(1, 60)) * 4, max_nodes=8_000), ada)
        until(lambda: (view := service.job(long.id)) is not None and view.phase == "sweep", 60)
        short = service.submit(TraceRequest((0, 4, 5), max_nodes=20), ada)
        assert short.position == 1
        service.cancel(long.id, ada)
        over = service.wait(long.id, 30)
        assert over is not None and over.state is JobState.CANCELLED
        done = service.wait(short.id, 60)
        assert done is not None and done.state is JobState.DONE and done.error is None
        graph, here = service.graph(done.key), tracer.load(model).trace(tokens=[0, 4, 5], max_nodes=20)
        assert graph is not None and equal(graph, here)
        assert any("ray::Watched" in name for name in names(head))
    finally:
        service.stop()
        import ray

        ray.shutdown()


def test_a_prompt_that_costs_its_worker_is_told_and_the_others_go_on(head: subprocess.Popen) -> None:
    class Mortal:
        def half(self, number: int) -> float:
            if number == 3:
                os._exit(1)
            if number == 5:
                raise TracerError("five is refused")
            return number / 2

    import ray  # not before its token is there: it looks at it just once

    cluster = Cluster("auto")  # one try more is enough here: a start takes seconds
    try:
        kind = ray.remote(Mortal).options(num_cpus=0, max_restarts=-1, max_task_retries=1)
        actors = Actors(ray, [kind.remote() for _ in range(2)])
        found = dict(actors.each("half", [1, 2, 3, 4]))
        assert (found.pop(1), found.pop(2), found.pop(4)) == (0.5, 1, 2)
        assert isinstance(found[3], Lost) and "its worker was lost" in str(found[3])
        with pytest.raises(TracerError, match=r"^five is refused$"):
            actors.ask("half", 5)
        with pytest.raises(TracerError, match=r"the cluster has 2 processors and 0 GPUs; give fewer"):
            cluster.actors("tiny", "neurons", 3, None)
        with pytest.raises(TracerError, match=r"^1 workers with 0.5 GPUs each"):
            cluster.actors("tiny", "neurons", None, 0.5)
    finally:
        cluster.close()
