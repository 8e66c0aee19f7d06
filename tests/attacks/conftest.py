"""A lab with a login, as a server of its own, in whose record there is something to find."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import About, CircuitBody, CommentBody, Lab, LabelBody, Person, Role
from tests.attacks.raw import Visitor
from tests.browser.login_place import Place, lab_of_three
from tests.helpers import saved, tiny_llama
from tests.lab.hypotheses import ready

SECRET, SHARED = "Ada's hidden thought", "what Ada showed everybody"
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

    @property
    def address(self) -> str:
        return self.place.address

    @property
    def log(self) -> str:
        return (self.place.home / "server.log").read_text(errors="replace")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tiny_llama(), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def target(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with lab_of_three(tmp_path_factory.mktemp("lab"), tiny_model, **KEYS) as place:
        record = f"sqlite:///{place.home}/lab.sqlite"
        ada = _visitor(place.address, "ada")
        with ada.tab() as tab:
            tab.ask("privacy")
        ada.close()
        with closing(Lab(record)) as lab:
            person = next(one.person for one in lab.people(admin_of(lab)) if one.person.name == "Ada")
            yield Target(place, planted(lab, person))


def admin_of(lab: Lab) -> Person:
    return lab.person("local", "tests", "Tests", Role.ADMIN)


def planted(lab: Lab, ada: Person) -> dict[str, str]:
    """Private records of hers, by what they are; and one that everybody may see."""
    about = About(graph="a" * 64, node="1_2_3")
    hypothesis = lab.create(ada, About(), ready(title=SECRET, claim=SECRET), "private")
    lab.freeze(hypothesis.id, ada, 1)
    comment = lab.create(ada, About(hypothesis=hypothesis.id), CommentBody(text=SECRET), "private")
    lab.create(ada, about, CircuitBody(title=SHARED))
    return {
        "circuit": lab.create(ada, about, CircuitBody(title=SECRET, notes=SECRET), "private").id,
        "label": lab.create(ada, about, LabelBody(text=SECRET), "private").id,
        "hypothesis": hypothesis.id,
        "comment": comment.id,
    }


def _visitor(address: str, name: str) -> Visitor:
    return Visitor(address).log_in(name)


@pytest.fixture
def nobody(target: Target) -> Iterator[Visitor]:
    visitor = Visitor(target.address)
    yield visitor
    visitor.close()


@pytest.fixture(scope="session")
def ada(target: Target) -> Iterator[Visitor]:
    visitor = _visitor(target.address, "ada")
    yield visitor
    visitor.close()


@pytest.fixture(scope="session")
def ben(target: Target) -> Iterator[Visitor]:
    """A viewer."""
    visitor = _visitor(target.address, "ben")
    yield visitor
    visitor.close()


def tells(text: str, address: str) -> list[str]:
    """What a stranger must not read, of a lab."""
    return re.findall(rf"{SECRET}|{SHARED}|Ada|lab\.example|tiny|\.sqlite|{'|'.join(KEYS.values())}", text)
