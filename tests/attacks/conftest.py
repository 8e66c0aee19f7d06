"""A lab with a login, as a server of its own, in whose record there is something to find."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import tracer
from cache import GraphCache
from lab import (
    About,
    BatchBody,
    CircuitBody,
    CommentBody,
    HypothesisBody,
    Lab,
    LabelBody,
    Person,
    Record,
    Role,
    SteeredNode,
    SteeredRow,
    SteeringBody,
)
from lab.batch import BatchItem
from lab.bodies import Group
from lab.runs.bodies import PromptFigures, Reading, RunBody
from tests.attacks.raw import Visitor
from tests.browser.login_place import CLIENT_SECRET, COOKIE_SECRET, HOSTILE_NAME, Place, lab_of_three
from tests.helpers import saved, tiny_llama
from tests.lab.hypotheses import ready
from tests.lab.runs.made_up import made

SECRET, SHARED = "adashiddenthought", "whatadashowseverybody"
GRAPH = "a" * 64
KEYS = {  # settings that are nobody's business
    "NEURONPEDIA_API_KEY": "np-key-that-nobody-may-see",
    "HF_TOKEN": "hf_tokenthatnobodymaysee",
    "HYPOGRAPH_PROXY_SECRET": "proxy-secret-that-nobody-may-see",
}


@dataclass
class Target:
    """What attackers are after."""

    place: Place
    ids: dict[str, str]  # of Ada's private records, by what they are
    hostile: dict[str, str]  # of those whose texts are script; `node`: one that is labelled

    @property
    def address(self) -> str:
        return self.place.address

    @property
    def log(self) -> str:
        return (self.place.home / "server.log").read_text(errors="replace")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with closing(Lab(f"sqlite:///{tmp_path}/lab.sqlite")) as lab:
        yield lab


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tiny_llama(), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def target(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with lab_of_three(tmp_path_factory.mktemp("lab"), tiny_model, **KEYS) as place:
        for name in ("ada", "mal"):
            visitor = Visitor(place.address).log_in(name)
            with visitor.tab() as tab:
                tab.ask("privacy")
            visitor.close()
        with closing(Lab(f"sqlite:///{place.home}/lab.sqlite")) as lab:
            admin = lab.person("local", "tests", "Tests", Role.ADMIN)
            known = {one.person.name: one.person for one in lab.people(admin)}
            mal = known[HOSTILE_NAME]
            lab.give_role(mal.id, Role.EDITOR, admin)
            graph = tracer.load(str(tiny_model)).trace("w4 w9 w2")
            assert GraphCache(place.home / "cache" / "graphs", 10**9).put(GRAPH, graph)
            hostile = write(lab, mal, graph, HOSTILE_NAME, "lab", labelled=1)
            write(lab, known["Ada"], graph, SHARED, "lab")
            yield Target(place, write(lab, known["Ada"], graph, SECRET, "private"), hostile)


def write(lab: Lab, by: Person, graph: tracer.Graph, word: str, visibility: str, labelled: int = 0) -> dict[str, str]:
    """One of each kind of record with this word in all its texts; their ids."""
    pins = [id for id in graph.ids if id[0].isdigit()][:2]
    groups = (Group(name=word, nodes=tuple(pins)),)
    circuit = CircuitBody(title=word, prompt="w4 w9 w2", pins=tuple(pins), groups=groups, notes=word)
    model = {"model": str(graph.meta["model"]), "features": str(graph.meta["features"])}
    prints = {name: str(graph.meta[name]) for name in ("model_fingerprint", "basis_fingerprint")}
    row = SteeredRow(name=word, nodes=(SteeredNode(layer=1, position=1, feature=3),), amount=-1.0)
    steering = SteeringBody(title=word, prompt="w4 w9 w2", tokens=(0, 5, 6), rows=(row,), **model, **prints)
    claim: HypothesisBody = ready(title=word, claim=word, notes=word, **model, **prints)
    of_graph = About(graph=GRAPH, **prints_of(graph))
    hypothesis = lab.create(by, About(), claim, visibility)
    lab.freeze(hypothesis.id, by, 1)
    run = begin(lab, by, hypothesis, visibility)
    bodies = {
        "circuit": (of_graph, circuit),
        "label": (About(graph=GRAPH, node=pins[labelled]), LabelBody(text=word)),
        "steering": (of_graph, steering),
        "batch": (About(), BatchBody(title=word, items=(BatchItem(key=GRAPH, prompt=word, family=word),))),
        "comment": (About(hypothesis=hypothesis.id), CommentBody(text=word)),
    }
    ids = {kind: lab.create(by, about, body, visibility).id for kind, (about, body) in bodies.items()}  # type: ignore[type-var]
    return ids | {
        "hypothesis": hypothesis.id,
        "run": run.id,
        "hash": run.about.hypothesis or "",
        "node": pins[labelled],
    }


def prints_of(graph: tracer.Graph) -> dict[str, str]:
    return {"model": str(graph.meta["model_fingerprint"]), "basis": str(graph.meta["basis_fingerprint"])}


def begin(lab: Lab, by: Person, hypothesis: Record[HypothesisBody], visibility: str) -> Record[RunBody]:
    """A run of its first version, with the figures of one prompt."""
    file = lab.hypothesis_file(hypothesis.id, 1, by)
    assert file.freeze is not None
    told = {"hypothesis": file, "hash": file.freeze.hash, "title": file.hypothesis.title}
    run = lab.begin_run(by, made(file.hypothesis).model_copy(update=told), visibility)
    lab.keep_figures(run.id, by, PromptFigures(where="test", number=1, baseline=Reading(value=1.0), excluded=True))
    return run


@pytest.fixture
def nobody(target: Target) -> Iterator[Visitor]:
    visitor = Visitor(target.address)
    yield visitor
    visitor.close()


@pytest.fixture(scope="session")
def ada_visits(target: Target) -> Iterator[Visitor]:
    visitor = Visitor(target.address).log_in("ada")
    yield visitor
    visitor.close()


@pytest.fixture(scope="session")
def ben_visits(target: Target) -> Iterator[Visitor]:
    """A viewer."""
    visitor = Visitor(target.address).log_in("ben")
    yield visitor
    visitor.close()


def secrets_of(target: Target) -> list[str]:
    return [*KEYS.values(), CLIENT_SECRET, COOKIE_SECRET]


def tells(text: str) -> list[str]:
    """What a stranger must not read, of a lab."""
    secrets = [
        SECRET,
        SHARED,
        "Ada",
        r"lab\.example",
        "tiny",
        r"\.sqlite",
        *KEYS.values(),
        CLIENT_SECRET,
        COOKIE_SECRET,
    ]
    return re.findall("|".join(secrets), text)
