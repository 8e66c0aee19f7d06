"""Script in every text that a person can write: it is text in all that the server sends, and in what is taken along."""

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest
from google.protobuf.message import Message

from tests.attacks.conftest import GRAPH, Target
from tests.attacks.raw import Visitor
from ui.export_menu import as_csv

ROOT = Path(__file__).resolve().parents[2]

MARKDOWN = {"body", "label", "help", "text", "caption", "title"}
"""Fields of elements that the browser reads as Markdown; values of inputs, code and tables are in others."""
RAW = re.compile(r"(?<!\\)<img|(?<!\\)\[x|(?<!\\):red")
PLAIN = {"text", "code"}
"""Elements whose text is shown as it is."""


def markdown(message: Message, kind: str = "") -> Iterator[tuple[str, str]]:
    """Every text in an element that is read as Markdown, with the element's kind."""
    for field, value in message.ListFields():
        if isinstance(value, Message):
            yield from markdown(value, field.name)
        elif field.message_type is not None and not isinstance(value, Mapping):
            for one in value:
                yield from markdown(one, field.name)
        elif isinstance(value, str) and field.name in MARKDOWN and kind not in PLAIN:
            yield kind, value


def elements(visitor: Visitor, path: str, query: str) -> list[Message]:
    with visitor.tab() as tab:
        tab.ask(path, query)
        deltas = [m.delta for m in tab.came if m.WhichOneof("type") == "delta"]
        assert "onerror=alert" in tab.said, "nothing of it is on this page"
        assert "exception {" not in tab.said
        return [delta.new_element if delta.HasField("new_element") else delta.add_block for delta in deltas]


PAGES = (
    ("library", ""),
    ("people", ""),  # the person's name
    ("hypotheses", ""),
    ("graph", "circuit={circuit}"),  # title, notes, groups, label
    ("graph", f"graph={GRAPH}&select={{node}}"),
    ("steer", "run={steering}"),
    ("compare", "column=run:{steering}"),
    ("hypotheses", "hypothesis={hypothesis}"),  # claim, comment, author
    ("hypotheses", "write=new&circuit={circuit}"),
    ("hypotheses", "write={hypothesis}"),
    ("batch", "batch={batch}"),
)


@pytest.mark.parametrize(("path", "query"), PAGES)
def test_it_is_text_on_every_page(ada_visits: Visitor, target: Target, path: str, query: str) -> None:
    found = elements(ada_visits, path, query.format(**target.hostile))
    assert [(kind, text) for one in found for kind, text in markdown(one) if RAW.search(text)] == []
    assert not [
        one for one in found if "onerror" in str(one) and re.search(r"^(html|iframe) {|allow_html: true", str(one))
    ]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＠x", '=HYPERLINK("x")']
)
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    """Of whatever type its column is, and in its head."""
    table = pd.DataFrame({text: [1, -2], "all": [text, "a"], "some": [None, text], "mixed": [3, text]})
    table["objects"] = pd.Series([text, 1.5], dtype=object)
    for row in csv.reader(io.StringIO(as_csv(table).decode(), newline="")):
        for cell in row:
            assert cell in ("", "a", "3", "1.5", "1", "-2", f"'{text}") or cell.isalpha()


def test_tables_give_no_csv_of_their_own() -> None:
    """Streamlit's would leave formulas in."""
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["client"]["disableDataExport"] is True
