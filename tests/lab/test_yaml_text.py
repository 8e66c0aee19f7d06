"""YAML: the same values are the same bytes; a hostile file is refused in a line, and nothing of it is built."""

import random

import pytest
import yaml

from lab import LabError
from lab.yaml_text import DEEPEST, MOST_BYTES, canonical, read_yaml

LETTERS = [
    *map(chr, range(1, 0x180)),
    *"\u2028\u2029\ufeff\u200b\u202e🏀\ufffd\ud7ff\ue000" * 4,
    *":-#?{}[],&*!|>'\"%@` \n\t\\" * 8,
]
LOOK_LIKE = [
    "yes",
    "no",
    "null",
    "~",
    "1:30",
    "2024-01-01",
    "0x1f",
    "1_0",
    "=",
    "<<",
    "12",
    ".inf",
    "",
    " a",
    "- a",
    "a: b",
]


def test_canonical_form_does_not_depend_on_order_and_reads_back() -> None:
    data = {"b": [1, 2.0, True, None], "a": {"z": "x", "y": []}}
    text = canonical(data)
    assert text == "a:\n  y: []\n  z: x\nb:\n- 1\n- 2.0\n- true\n- null\n"
    assert canonical({"a": {"y": [], "z": "x"}, "b": [1, 2.0, True, None]}) == text
    assert read_yaml(text.encode()) == data


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.1, "0.1"),
        (1e-7, "1.0e-07"),
        (1e22, "1.0e+22"),
        (-0.0, "0.0"),
        (5e-324, "5.0e-324"),
        (1 / 3, "0.3333333333333333"),
    ],
)
def test_floats_are_the_shortest_text_that_reads_back(number: float, text: str) -> None:
    assert canonical([number]) == f"- {text}\n" and read_yaml(f"- {text}\n".encode()) == [number]


def test_any_string_reads_back_as_it_was() -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices(LETTERS, k=draw.randrange(1, 7))) for _ in range(1_500)] + LOOK_LIKE + ["x " * 500]
    text = canonical(texts)
    assert read_yaml(text.encode()) == texts
    assert text.count("\n") == len(texts) and "\r" not in text  # one line each, however long


@pytest.mark.parametrize(
    "laid_out",
    [
        "{b: 2, a: [x, 'y']}",
        '# a note\nb: 2\na:\n    - x\n    - "y"\n',
        "\ufeffb: 2\r\na: ['x',\r\n y]\r\n",
        "---\nb: 0x2\na: [x, y]\n...",
    ],
)
def test_the_layout_of_a_file_does_not_count(laid_out: str) -> None:
    assert canonical(read_yaml(laid_out.encode())) == "a:\n- x\n- y\nb: 2\n"


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BOMB, "line 1 has anchors"),
        ("a: *b", "line 1 has aliases"),
        ("x: 1\na: &name 1", "line 2 has anchors"),
        ("a: !!python/object/apply:os.system [id]", "line 1 has tags"),
        ("a: !!binary aGk=", "line 1 has tags"),
        ("!x {}", "line 1 has tags"),
        ("[" * (DEEPEST + 1), f"line 1 is deeper than {DEEPEST} levels"),
        ("[" * 100_000, "line 1"),
        ("a: 1\na: 2", "line 1: the key 'a' comes twice"),
        ("x:\n  a: 1\n  b: {c: 1, c: 1}", "line 3: the key 'c' comes twice"),
        ("a: 1\n  b: 2", "line 2"),
        ("a: 'x", "it is no YAML"),
        ("a\tb: {", "it is no YAML"),
        ("? [1]\n: 2", "it is no YAML"),
        ("a: \x00", "it is no YAML"),
        ("a: \x1b[31m", "it is no YAML"),
        ("--- 1\n--- 2", "it is no YAML"),
        ("a: " + "9" * 5_000, "holds a value that can't be read"),
        ("a: 2024-13-45", "holds a value that can't be read"),
        ("x" * (MOST_BYTES + 1), "larger than 1,000,000 bytes"),
        (b"a: 1\nb: \xff", "line 2 is not UTF-8 text"),
        ("a: ä".encode("utf-16"), "line 1 is not UTF-8 text"),
    ],
)
def test_hostile_files_are_refused_in_a_line(content: str | bytes, says: str) -> None:
    with pytest.raises(LabError) as caught:
        read_yaml(content if isinstance(content, bytes) else content.encode())
    said = str(caught.value)
    assert says in said and said.isprintable()


def test_both_readers_of_pyyaml_read_the_same() -> None:
    """PyYAML may come without its C part: what is read must not depend on that."""
    data = {"t": LOOK_LIKE, "f": [1e-7, 1e22], "s": "a\nb\x85\u2028 🏀"}
    assert yaml.load(canonical(data), Loader=yaml.SafeLoader) == data == read_yaml(canonical(data).encode())
