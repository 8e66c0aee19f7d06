"""The same token in several models: by its id where the vocabularies are one, else by its text."""

from collections.abc import Sequence
from itertools import accumulate
from re import finditer

from tracer import ReplacementModel
from tracer.steering.compare import differing, same_vocabulary

LOST = "\ufffd"  # stands for bytes that are no whole character: such a text names no token

Row = tuple[int | None, ...]
"""A token's id in each column; None where a column's vocabulary doesn't have it."""


def vocabularies(models: Sequence[ReplacementModel]) -> list[int]:
    """For each the first one that has the same vocabulary."""
    return [next(i for i, other in enumerate(models) if same_vocabulary(model, other)) for model in models]


def aligned(models: Sequence[ReplacementModel], groups: Sequence[int], top: Sequence[Sequence[int]]) -> list[Row]:
    """A row for each token that is among the `top` ids of any column, column 1's first."""
    rows: list[Row] = []
    for at, ids in enumerate(top):
        for id in ids:
            if any(row[at] == id for row in rows):
                continue
            there = {group: _same_text(models[at], id, models[group]) for group in set(groups) if group != groups[at]}
            rows.append(tuple(id if group == groups[at] else there[group] for group in groups))
    return rows


def _same_text(model: ReplacementModel, id: int, other: ReplacementModel) -> int | None:
    text = model.token_text(id)
    ids = other.tokenizer(text, add_special_tokens=False)["input_ids"] if text and LOST not in text else []
    return ids[0] if len(ids) == 1 and other.token_text(ids[0]) == text else None


def differing_words(first: Sequence[str], other: Sequence[str]) -> list[bool]:
    """Of each token of `other`: does it stand in a word that differs? For texts cut into tokens in two ways."""
    spans = [match.span() for match in finditer(r"\s*\S+|\s+$", "".join(other))]
    words = [match.group() for match in finditer(r"\s*\S+|\s+$", "".join(first))]
    marks = differing(words, ["".join(other)[start:end] for start, end in spans])
    odd = [span for span, mark in zip(spans, marks, strict=True) if mark]
    ends = list(accumulate(map(len, other)))
    return [
        any(start < end and end - len(token) < stop for start, stop in odd)
        for token, end in zip(other, ends, strict=True)
    ]
