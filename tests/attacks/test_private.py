"""What is private is its owner's: by every method that reads the record, and by every link, in the whole of what the
server sends."""

import re
from collections.abc import Callable

import pytest

from lab import About, CircuitBody, CommentBody, Lab, LabError, Person
from lab.lab import KINDS
from tests.attacks.conftest import GRAPH, SECRET, SHARED, Target, begin
from tests.attacks.raw import Visitor
from tests.lab.hypotheses import ready

Ids = dict[str, str]
READS: dict[str, Callable[[Lab, Person, Ids], object]] = {
    "get": lambda lab, who, ids: [lab.get(ids[kind], who) for kind in ("circuit",)],
    "find": lambda lab, who, ids: [lab.find(k, who, deleted=gone) for k in KINDS for gone in (False, True)],
    "history": lambda lab, who, ids: lab.history(ids["circuit"], who),
    "runs": lambda lab, who, ids: lab.runs(who, ids["hash"]),
    "figures": lambda lab, who, ids: (lab.figures(ids["run"], who), SECRET),
    "finished": lambda lab, who, ids: SECRET * bool(lab.finished([ids["run"]], who)),
    "freezes": lambda lab, who, ids: (lab.freezes(ids["hypothesis"], who), SECRET),
    "check_freezes": lambda lab, who, ids: (lab.check_freezes(ids["hypothesis"], who), SECRET),
    "hypothesis_file": lambda lab, who, ids: lab.hypothesis_file(ids["hypothesis"], 1, who),
    "cut_off": lambda lab, who, ids: lab.cut_off(who),
    "size_of": lambda lab, who, ids: SECRET * (lab.size_of(who) > 0),
    "count_of": lambda lab, who, ids: SECRET * (lab.count_of(who) > 0),
}
"""By method: tests/attacks/test_viewer.py sees that none is missing."""


@pytest.fixture
def ids(lab: Lab, ada: Person) -> Ids:
    hypothesis = lab.create(ada, About(), ready(title=SECRET, claim=SECRET), "private")
    frozen = lab.freeze(hypothesis.id, ada, 1)
    lab.create(ada, About(hypothesis=hypothesis.id), CommentBody(text=SECRET), "private")
    gone = lab.create(ada, About(), CircuitBody(title=SECRET), "private")
    lab.delete(gone.id, ada)
    lab.keep_asked("job", ada.id, "server", SECRET)
    lab.server_starts("server")
    return {
        "hypothesis": hypothesis.id,
        "hash": frozen.hash,
        "run": begin(lab, ada, hypothesis, "private").id,
        "circuit": lab.create(ada, About(), CircuitBody(title=SECRET), "private").id,
    }


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_no_method_reads_what_is_private_to_somebody_else(
    lab: Lab, ada: Person, ben: Person, ids: Ids, read: Callable[[Lab, Person, Ids], object]
) -> None:
    assert SECRET in repr(read(lab, ada, ids))
    try:
        said = repr(read(lab, ben, ids))
    except LabError as refusal:
        said = str(refusal)
    assert SECRET not in said


LINKS = (
    ("library", ""),
    ("hypotheses", ""),
    ("graph", "circuit={circuit}"),
    ("steer", "run={steering}"),
    ("compare", "column=run:{steering}"),
    ("hypotheses", "hypothesis={hypothesis}"),
    ("hypotheses", "hypothesis={hypothesis}&version=1"),
    ("hypotheses", "write={hypothesis}"),
    ("batch", ""),
    ("batch", "batch={batch}"),
    ("hypotheses", "write=new&hypothesis={hypothesis}"),
    ("hypotheses", "write=new&circuit={circuit}"),
    ("hypotheses", "write=new&run={steering}"),
    ("graph", f"graph={GRAPH}"),
    ("compare", f"left={GRAPH}&right={GRAPH}"),
)


@pytest.mark.parametrize(("path", "query"), LINKS)
def test_no_link_shows_what_is_private_to_somebody_else(
    ada_visits: Visitor, ben_visits: Visitor, target: Target, path: str, query: str
) -> None:
    asked = query.format(**target.ids)
    with ada_visits.tab() as hers, ben_visits.tab() as his:
        ada_reads, ben_reads = hers.ask(path, asked).said, his.ask(path, asked).said
    assert SECRET in ada_reads or query == f"left={GRAPH}&right={GRAPH}"
    assert SECRET not in ben_reads
    if not asked:
        assert SHARED in ben_reads


IDS = {
    "": ("job", "demo"),
    "graph": ("circuit", "graph", "select"),
    "steer": ("run", "graph"),
    "compare": ("column", "left"),
    "hypotheses": ("hypothesis", "write", "example"),
    "batch": ("batch", "folder"),
}
"""What a link may name, by page."""
FORGED = ("../../etc/passwd", "%00", "' OR '1'='1", "{circuit}{circuit}", "x" * 4000)


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in IDS.items() for name in names])
def test_a_forged_id_finds_nothing(ben_visits: Visitor, target: Target, path: str, name: str) -> None:
    with ben_visits.tab() as tab:
        for id in FORGED:
            tab.ask(path, f"{name}={id.format(**target.ids)}")
    assert not re.search(r"root:|Traceback|exception \{", tab.said) and SECRET not in tab.said
