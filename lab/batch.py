"""Graphs that a person looks at together: which they are, and what was asked for, so that each can be traced again."""

from typing import Annotated

from pydantic import Field, model_validator

from lab.bodies import MOST_TOKENS, Line, Part, Prose
from lab.prompts import Family, TokenText
from lab.splits import Sha256

MOST_GRAPHS = 1_000

TokenId = Annotated[int, Field(ge=0)]


class BatchItem(Part):
    """A graph by its key in the cache. `tokens` is empty where what was asked for isn't known, as of an imported one.

    `targets`: the ids of the tokens that it explains, or with `difference` of the two of a difference; None: the
    likeliest. `target`, `competitor`: the same as text, where they were given so.
    """

    key: Sha256
    prompt: Prose = ""
    tokens: tuple[TokenId, ...] = Field(default=(), max_length=MOST_TOKENS)
    targets: tuple[TokenId, ...] | None = Field(default=None, max_length=1_000)
    difference: bool = False
    target: TokenText | None = None
    competitor: TokenText | None = None
    family: Family | None = None


class BatchBody(Part):
    title: Line
    items: tuple[BatchItem, ...] = Field(min_length=1, max_length=MOST_GRAPHS)
    max_nodes: int | None = Field(default=None, ge=1)  # of those that are traced for it; None: as many as is usual

    @model_validator(mode="after")
    def _each_graph_once(self) -> "BatchBody":
        if len({item.key for item in self.items}) < len(self.items):
            raise ValueError("a graph is in a batch once")
        return self
