"""The comparison with circuit-tracer runs on a tiny model, ours alone, and notices a matrix that differs."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import saved, tiny_llama

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "against_circuit_tracer.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("peer_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(tmp_path, *words):
    folder = saved(tiny_llama(), tmp_path / "tiny")
    command = [sys.executable, str(SCRIPT), "--model", str(folder), "--scratch", str(tmp_path / "scratch"), *words]
    env = os.environ | {"OMP_NUM_THREADS": "1"}  # so small that threads would only wait for each other
    command += ["--peer", str(tmp_path / "none")]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.soak
def test_quick_run_without_circuit_tracer(tmp_path):
    done = start(tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no circuit-tracer here (make peer), ours alone") == 2
    assert done.stdout.count("72 active features") == 2, done.stdout  # 3 layers, 6 positions, 4 at each


def test_without_circuit_tracer_it_says_what_to_run(tmp_path):
    done = start(tmp_path)
    assert done.returncode == 1 and "make peer" in done.stderr


def graph(features, adjacency):
    return {
        "active_features": torch.tensor(features),
        "selected_features": torch.arange(len(features)),
        "logit_token_ids": torch.tensor([7]),
        "adjacency_matrix": torch.tensor(adjacency, dtype=torch.float32),
    }


def test_matrices_are_compared_on_the_features_that_both_have(benchmark):
    """Ours has features a, b and a bias node last; theirs has b, c. One other node each: a logit."""
    ours = graph([[0, 1, 2], [1, 1, 5]], [[0, 0, 0, 9], [9, 0, 0, 9], [9, 2, 0, 9], [0, 0, 0, 0]])
    theirs = graph([[1, 1, 5], [2, 1, 4]], [[0, 0, 0], [9, 0, 0], [2, 9, 0]])
    assert benchmark.largest_gap(ours, theirs) == (1, 0)
    ours["adjacency_matrix"][2, 1] = 2.5
    assert benchmark.largest_gap(ours, theirs) == (1, 0.25)


def test_other_logits_are_no_basis_for_a_comparison(benchmark):
    ours = graph([[0, 1, 2]], [[0, 0], [1, 0]])
    with pytest.raises(ValueError, match="different logits"):
        benchmark.largest_gap(ours, ours | {"logit_token_ids": torch.tensor([8])})
