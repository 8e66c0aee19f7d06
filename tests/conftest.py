"""What every test gets: no network for models, a throw-away HYPOGRAPH_HOME, and one kept folder of converted weights.

Where CI=true, a skip of a test marked `browser`, `default_model`, `smollm2`, `postgresql` or `nginx` is a failure: CI
sets its machine up for these, so a skip there means that something is broken.

`make test` runs three workers on two cores, because browser tests wait more than they compute. Those that share a
server with the default model are one group, the first; the journeys, each on servers of its own, are the second. The
third worker runs the others meanwhile, a file at a time, and gives way to them. On shared cores a browser may miss a
click: one that fails is run once more, and the run's last line says how many were.
"""

import gc
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub
_home = tempfile.TemporaryDirectory(prefix="hypograph-test-")
os.environ["HYPOGRAPH_HOME"] = _home.name  # nobody's own graphs and records are touched
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}  # Ray reads them once, when imported
os.environ["HYPOGRAPH_DASHBOARDS"] = "0"  # two cores: what is built beside a test would slow it down

import platformdirs  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from xdist.remote import Producer  # noqa: E402
from xdist.scheduler import LoadScopeScheduling  # noqa: E402

import tracer  # noqa: E402
from lab import Lab, Person  # noqa: E402

FIRST = ["browser", "journeys"]  # groups of tests, in this order
OWN_SERVERS = "test_explorer_", "test_steering_", "test_hypothesis_", "test_team_", "test_login"
MAY_NOT_SKIP_IN_CI = ("browser", "default_model", "smollm2", "postgresql", "nginx")

_chosen = os.environ.get("HYPOGRAPH_TEST_STORE")
STORE = Path(_chosen).expanduser() if _chosen else platformdirs.user_cache_path("hypograph-test", False) / "models"
STORE.mkdir(parents=True, exist_ok=True)
(Path(_home.name) / "models").symlink_to(STORE.resolve())  # so that a page under test finds the model converted


@pytest.fixture(scope="session")
def store() -> Path:
    """The folder of converted weights: HYPOGRAPH_TEST_STORE, or one in the user's cache that outlives the session."""
    return STORE


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit's AppTest leaves the tested page as `__main__`, which new processes of later tests would then run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def gemma(store: Path) -> tracer.ReplacementModel:
    """The embedded default model, loaded once for all tests that need it."""
    return tracer.load("gemma-3-270m", store=store, device="cpu")


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Of the record that the folder's tests call `lab`."""
    return lab.person("local", "ada", "Ada")


@pytest.fixture
def ben(lab: Lab) -> Person:
    return lab.person("local", "ben", "Ben")


def pytest_configure() -> None:
    torch.set_num_threads(1)  # of three workers on two cores; and sums of two threads differ in their last digit


def pytest_collection_finish() -> None:
    """What is imported by now stays, and no collection of garbage looks at it again. The service's own would, at each
    change of model (tests/service/test_trouble.py tries that): half a second a time, a quarter of all that tests do."""
    from service import trouble  # not by the process that only hands out the tests

    gc.collect()
    gc.freeze()
    trouble.gc = SimpleNamespace(collect=gc.collect, freeze=lambda: None, unfreeze=lambda: None)


_first = pytest.StashKey[str]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if _is_worker() and _first not in item.config.stash:
        item.config.stash[_first] = _group(item.nodeid)
        os.nice(0 if _group(item.nodeid) in FIRST else 5)


def _is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=1))


def _turn(item: pytest.Item) -> int:
    """Browser tests on small servers of their own come last, when no other browser is busy."""
    group = _group(item.nodeid)
    return FIRST.index(group) if group in FIRST else len(FIRST) + ("browser" in item.path.parts)


def _group(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    name = Path(file).name
    if file.startswith("tests/attacks/"):
        return "attacks"  # most share a server
    if not file.startswith("tests/browser/") or name.startswith(("test_canvas", "test_switching")):
        return file
    return "journeys" if name.startswith(OWN_SERVERS) else "browser"


class _Scheduling(LoadScopeScheduling):
    """xdist's own groups do nothing under pytest 9.2, which no longer reads the name that they are written into."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Scheduling:
    return _Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured (`record_property`), at the end of the run; and why some were run twice."""
    measured = [pair for report in terminalreporter.getreports("passed") for pair in report.user_properties]
    if measured:
        terminalreporter.section("measured")
    for name, value in measured:
        terminalreporter.write_line(f"{name}: {value}")
    again = terminalreporter.getreports("rerun")
    if again:
        terminalreporter.section("run twice")
    for report in again:
        terminalreporter.write_line(f"{report.nodeid}: {report.longreprtext[-1500:]}")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield
    marks = [name for name in MAY_NOT_SKIP_IN_CI if item.get_closest_marker(name)]
    if in_ci() and marks and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: marked {marks[0]}, may not be skipped where CI=true. {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report: pytest.CollectReport = yield
    if in_ci() and report.skipped and "browser" in collector.path.parts:  # importorskip at the head of a file
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: may not be skipped where CI=true. {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
