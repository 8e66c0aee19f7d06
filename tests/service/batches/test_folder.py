"""A batch as a folder: what is written is read again, and a folder that is anybody's is refused in one line."""

import json
from pathlib import Path

import pytest

from service.batches.folder import About, Fingerprints, Folder, Item, Settings, create, folders, read, refused_key
from tests.helpers import PROMPT, replacement, tiny_llama
from tests.service.batches.equal import equal
from tracer import Graph, TracerError

ABOUT = About(
    title="Tiny",
    model="tiny",
    features="neurons",
    fingerprints=Fingerprints(model="0" * 64, basis="neurons", engine="1"),
)
KEY, OTHER = "a" * 64, "b" * 64
ITEMS = (
    Item(row=1, prompt="w1 é \n 汉", target=" w3", minus=7, family="f", key=KEY),
    Item(row=2, tokens=(0, 4, 5), condition="c", key=OTHER),
    Item(row=3, prompt="w1 é \n 汉", target=" w3", minus=7, key=KEY),
)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return replacement(tiny_llama()).trace(PROMPT, max_nodes=20)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return create(tmp_path / "batches" / "one", ABOUT, ITEMS)


def test_what_is_written_is_read_again(folder: Folder, graph: Graph) -> None:
    again = read(folder.path)
    assert again == folder and again.items == ITEMS
    assert [item.row for item in again.left()] == [1, 2]  # row 3 is row 1 once more
    folder.keep(KEY, graph, 1.5)
    folder.fail(OTHER, "no", 0.5)
    assert [item.row for item in again.left()] == [2] and again.outcome("c" * 64) is None
    failed, done = again.outcome(OTHER), again.outcome(KEY)
    assert failed is not None and (failed.status, failed.error, failed.seconds) == ("failed", "no", 0.5)
    assert done is not None and done.summary is not None and done.status == "done"
    assert done.summary.scores.replacement == pytest.approx(graph.scores().replacement)
    assert done.summary.tokens == tuple(graph.tokens) and done.summary.row_error == graph.row_error
    assert equal(again.graph(KEY), graph)
    assert not list(folder.path.rglob("*.part"))
    folder.keep(OTHER, graph, 1.0)
    assert again.left() == []


def test_a_result_that_is_spoiled_or_lost_is_made_again(folder: Folder, graph: Graph) -> None:
    folder.keep(KEY, graph, 1.0)
    (folder.path / "results" / f"{KEY}.safetensors").unlink()
    assert [item.row for item in folder.left()] == [1, 2]
    folder.keep(KEY, graph, 1.0)
    for spoiled in (b"", b"{", b'{"status": "done", "seconds": NaN}', b"\0" * 9, b"[" * 9_000):
        (folder.path / "results" / f"{KEY}.json").write_bytes(spoiled)
        assert folder.outcome(KEY) is None and [item.row for item in folder.left()] == [1, 2]


def test_the_same_batch_goes_on_and_another_is_refused(folder: Folder, graph: Graph) -> None:
    folder.keep(KEY, graph, 1.0)
    more = create(folder.path, ABOUT, [*ITEMS, Item(row=4, prompt="w9", key="c" * 64)])
    assert [item.row for item in more.left()] == [2, 4] and more.about.created == ABOUT.created
    with pytest.raises(TracerError, match="another model, engine or settings"):
        create(folder.path, ABOUT.model_copy(update={"settings": Settings(max_nodes=9)}), ITEMS)
    with pytest.raises(TracerError, match="a folder of something else"):
        create(folder.path.parent, ABOUT, ITEMS)


def test_names_that_lead_elsewhere_are_no_keys(folder: Folder) -> None:
    for key in ("../batch", "A" * 64, "", "a" * 63 + "/"):
        with pytest.raises(ValueError, match="no key"):
            folder.graph(key)
    assert len(refused_key("x")) == 64


def test_broken_folders_are_told(folder: Folder, tmp_path: Path) -> None:
    place = folder.path.parent
    for name, content in (
        ("bad-json", b"{"),
        ("deep", b"[" * 50_000),
        ("huge", b" " * 200_000),
        ("nul", b"\0"),
        ("other", b'{"format": "x"}'),
        ("version", json.dumps(json.loads(ABOUT.model_dump_json()) | {"version": 2}).encode()),
    ):
        (place / name).mkdir()
        (place / name / "batch.json").write_bytes(content)
    (place / "empty").mkdir()
    (place / "link").mkdir()
    (place / "link" / "batch.json").symlink_to(folder.path / "batch.json")
    (place / "file").write_text("x")
    unread: list[str] = []
    assert folders(tmp_path, unread) == [folder]
    assert len(unread) == 8 and not any("\n" in line for line in unread)
    assert folders(tmp_path / "none") == []


@pytest.mark.parametrize(
    "line", [b"{", b"\xff", b'{"row": 1}', b'{"row": 1, "key": "../x"}', b'{"row": 0, "key": "' + b"a" * 64 + b'"}']
)
def test_items_that_are_none_are_refused(folder: Folder, line: bytes) -> None:
    with (folder.path / "items.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(TracerError, match=r"^items.jsonl: line 4 is no prompt of a batch"):
        _ = read(folder.path).items
