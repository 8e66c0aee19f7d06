"""What a tab compares: two to four columns, how their texts are made; kept in the session, and in the address.

`?column=prompt:TEXT&column=run:ID&n=20&t=0&seed=0` reopens a comparison, and runs it. `on=2:MODEL:FEATURES` says what
column 2 runs on, if it is not the loaded model; a saved run knows that itself.
"""

import math
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote

import streamlit as st

from service import Choice
from ui.feature_picker import NEURONS

FEWEST, MOST = 2, 4
MOST_TOKENS = 100
MOST_HEAT = 5.0
Kind = Literal["prompt", "run", "tab"]
KINDS: dict[Kind, str] = {
    "prompt": "a prompt, no edits",
    "run": "a saved Steer run",
    "tab": "this tab's Steer page",
}


@dataclass
class Column:
    kind: Kind = "prompt"
    prompt: str = ""
    run: str | None = None  # the id of a record
    model: str = ""  # that a prompt runs on; empty: the loaded one
    features: str = NEURONS

    @property
    def choice(self) -> Choice | None:
        return Choice(self.model, self.features) if self.kind == "prompt" and self.model else None

    def address(self) -> str:
        return f"{self.kind}:{ {'prompt': self.prompt, 'run': self.run or '', 'tab': ''}[self.kind] }"


@dataclass
class Comparison:
    columns: list[Column] = field(default_factory=lambda: [Column(), Column()])
    n_tokens: int = 20
    temperature: float = 0.0
    seed: int = 0
    revision: int = 0  # raised when the columns are others, so that their fields start anew
    asked: bool = False  # it runs now
    waits: Choice | None = None  # the model that was asked for, to be loaded beside
    written: dict[str, list[str]] = field(default_factory=dict)  # the address that we wrote or read last

    def add(self) -> None:
        first = self.columns[0]
        self.columns.append(Column(prompt=first.prompt, model=first.model, features=first.features))
        self.revision += 1

    def remove(self, at: int) -> None:
        self.columns.pop(at)
        self.revision += 1

    def fill(self, prompt: str, on: Choice | None) -> bool:
        """Give it to the columns that wait for one, as the baseline of a run, on its model. True if there were any."""
        empty = [column for column in self.columns if column.kind == "prompt" and not column.prompt]
        for column in empty:
            column.prompt = prompt
            if on is not None and not column.model:
                column.model, column.features = on.model, on.features
        self.revision += bool(empty)
        return bool(empty)

    def address(self) -> dict[str, list[str]]:
        choices = [(at, column.choice) for at, column in enumerate(self.columns, start=1)]
        return {
            "column": [column.address() for column in self.columns],
            "on": [f"{at}:{quote(on.model)}:{quote(on.features)}" for at, on in choices if on is not None],
            "n": [str(self.n_tokens)],
            "t": [f"{self.temperature:g}"],
            "seed": [str(self.seed)],
        }

    def write(self) -> None:
        """Into the address, if it says something else: each change is a step for Back."""
        if self.address() != _address():
            st.query_params.from_dict({name: values for name, values in self.address().items() if values})
        self.written = self.address()


def comparison(steered: str | None) -> Comparison:
    """This tab's, or the one of the address where that is another. `steered`: the prompt of the Steer page, where it
    has something to run."""
    now: Comparison | None = st.session_state.get("comparison")
    said = _address()
    if said and (now is None or said != now.written):
        now = st.session_state["comparison"] = _read(said, 0 if now is None else now.revision + 1)
    elif now is None:
        now = st.session_state["comparison"] = Comparison()
        if steered is not None:
            now.columns = [Column(prompt=steered), Column("tab")]
    return now


def _address() -> dict[str, list[str]]:
    if "column" not in st.query_params:
        return {}
    return {name: st.query_params.get_all(name) for name in ("column", "on", "n", "t", "seed")}


def _read(said: dict[str, list[str]], revision: int) -> Comparison:
    """Whatever stands there: what can't be understood is left at its default."""
    columns = []
    for text in said["column"][:MOST]:
        kind, _, rest = text.partition(":")
        if kind == "run":
            columns.append(Column("run", run=rest))
        elif kind == "tab":
            columns.append(Column("tab"))
        else:
            columns.append(Column(prompt=rest if kind == "prompt" else text))
    while len(columns) < FEWEST:
        columns.append(Column())
    for text in said["on"]:
        at, model, features = [*text.split(":"), "", ""][:3]
        if at in map(str, range(1, len(columns) + 1)):
            columns[int(at) - 1].model, columns[int(at) - 1].features = unquote(model), unquote(features) or NEURONS
    found = Comparison(columns, revision=revision, asked=True, written=said)
    found.n_tokens = int(_number(said["n"], 1, MOST_TOKENS, found.n_tokens))
    found.temperature = _number(said["t"], 0, MOST_HEAT, found.temperature)
    found.seed = int(_number(said["seed"], 0, 2**31, found.seed))
    return found


def _number(said: list[str], low: float, high: float, default: float) -> float:
    try:
        value = float(said[0]) if said else default
    except ValueError:
        return default
    return value if math.isfinite(value) and low <= value <= high else default
