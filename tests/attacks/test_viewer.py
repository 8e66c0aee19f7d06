"""Nothing is changed without the role for it: every public method of the record and of the service is looked at here,
so that a new one which changes something is not forgotten."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import pytest

from lab import About, Lab, NotAllowed, NotYours, Person, Role
from lab.runs.bodies import PromptFigures, Reading
from service import Refused, RunRequest, Service, Settings
from tests.attacks.test_private import READS
from tests.helpers import somebody
from tests.lab.hypotheses import ready
from tests.lab.runs.made_up import made
from tests.lab.test_people import WRITES
from tests.service.test_roles import FOR_ADMINS, FOR_EDITORS

ROOT = Path(__file__).resolve().parents[2]
OF_A_LOGIN = {"person"}  # writes who came; ui/session.py calls it with what the provider says
OF_THE_OPERATOR = {"close", "purge_record", "purge_person"}  # `make purge`: no page calls them
OF_THE_JOURNAL = {"keep_asked", "answered", "server_starts"}  # service/journal.py alone: what was let in before
OF_THE_SERVICE = {"touch", "ids_of", "merged"}  # is it there, and who is who: no texts
LOOKS = {"model", "model_state", "job", "jobs", "paused", "wait", "dashboards", "collects_dashboards", "beside",
         "beside_state", "graph", "in_use", "loaded_models", "not_ready"}  # fmt: skip
OF_THE_SERVER = {"start", "stop", "told_to_leave", "leave"}
OWN = {"cancel", "interrupted", "run_again", "forget_interrupted", "use_of", "largest_of"}  # run_again submits


def public(of: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(of) if not name.startswith("_")} - set(inspect.get_annotations(of))


def test_every_method_of_the_record_is_known() -> None:
    tried = {*WRITES, "begin_run", "keep_figures"} - {"comment"}  # which is a `create` too
    assert public(Lab) == tried | set(READS) | OF_A_LOGIN | OF_THE_OPERATOR | OF_THE_JOURNAL | OF_THE_SERVICE
    assert not tried & set(READS)


def test_every_method_of_the_service_is_known() -> None:
    tried = {*FOR_EDITORS, *FOR_ADMINS, "submit_run"}
    assert public(Service) == tried | LOOKS | OF_THE_SERVER | OWN


def test_no_page_calls_what_is_the_operators_or_goes_round_the_service() -> None:
    forbidden = OF_THE_OPERATOR | OF_THE_JOURNAL
    changing = {"cache.clear", "cache.put", "cache.delete", "_shelf.put", "_shelf.forget"}
    found = []
    for path in [*(ROOT / "ui").rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called.rpartition(".")[2] in forbidden or ".".join(called.split(".")[-2:]) in changing:
                found.append((path.name, called))
    assert found == []


def test_a_viewer_runs_no_hypothesis(tmp_path: Path) -> None:
    service = Service(replace(Settings.from_env(), cache=tmp_path))
    viewer = somebody("vic", Role.VIEWER)
    with pytest.raises(Refused, match="your role here is viewer"):
        service.submit_run(RunRequest(None, viewer, None), viewer)  # type: ignore[arg-type]


def test_figures_are_written_by_who_runs_it_alone(lab: Lab, ada: Person, ben: Person) -> None:
    """Or somebody could decide another one's claim."""
    lab.create(ada, About(), ready())
    run = lab.begin_run(ada, made(ready()))
    figures = PromptFigures(where="test", number=1, baseline=Reading(value=1.0, kl=0.0), excluded=True)
    with pytest.raises(NotYours):
        lab.keep_figures(run.id, ben, figures)
    admin = lab.person("local", "root", "Root", Role.ADMIN)
    lab.give_role(ada.id, Role.VIEWER, admin)
    for attempt in (
        lambda: lab.keep_figures(run.id, ada, figures),
        lambda: lab.begin_run(ada, made(ready()), anew=True),
    ):
        with pytest.raises(NotAllowed, match="role here is viewer"):
            attempt()
    assert lab.figures(run.id, ada).prompts == {} and len(lab.find("run", ada)) == 1
    lab.give_role(ada.id, Role.EDITOR, admin)
    lab.keep_figures(run.id, ada, figures)
    assert len(lab.figures(run.id, ada).prompts) == 1
