"""Edits turned into one feature at one position each, and what is refused."""

import numpy as np
import pytest

from tracer import Edit, TracerError
from tracer.steering.edits import place

SIZES = (6, 3, 40)  # tokens, layers, features


def positions(position):
    return [p.position for p in place([Edit(1, position, 5, value=1.0)], *SIZES)]


@pytest.mark.parametrize(
    ("position", "places"),
    [
        (2, [2]),
        (-1, [5]),
        (-6, [0]),
        (np.int64(3), [3]),
        (slice(4, None), [4, 5]),
        (slice(None, 2), [0, 1]),
        (slice(None), [0, 1, 2, 3, 4, 5]),
        (slice(-2, None), [4, 5]),
        (slice(1, -1), [1, 2, 3, 4]),
        (slice(1, 6, 2), [1, 3, 5]),
        ([4, 0, -1], [0, 4, 5]),
        (range(2, 4), [2, 3]),
    ],
)
def test_positions(position, places):
    assert positions(position) == places


def test_sorted_and_the_last_of_the_same_wins():
    edits = [
        Edit(2, 1, 7, value=1.0),
        Edit(0, slice(2, 4), 3, factor=-1),
        Edit(2, -5, 7, value=3.0),
        Edit(0, 3, 3, value=0.5),
    ]
    found = [(p.layer, p.position, p.feature, p.factor, p.plus) for p in place(edits, *SIZES)]
    assert found == [(0, 2, 3, -1, 0), (0, 3, 3, 0, 0.5), (2, 1, 7, 0, 3.0)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((3, 0, 0), "layer 3 of an edit is not there; the model's 3 layers are 0 to 2"),
        ((-1, 0, 0), "layer -1"),
        ((1.5, 0, 0), "layer 1.5 of an edit is no whole number"),
        ((0, 0, 40), "feature 40 of an edit is not there; the 40 features of a layer are 0 to 39"),
        ((0, 0, -1), "feature -1"),
        ((0, 6, 0), "position 6 of an edit is outside the prompt; its 6 tokens are 0 to 5"),
        ((0, -7, 0), "position -7"),
        ((0, [1, 6], 0), "position 6"),
        ((0, [], 0), "list of positions is empty"),
        ((0, "all", 0), "position 'a' of an edit is no whole number"),
        ((0, None, 0), "position None"),
        ((0, slice(6, None), 0), "position 6"),
        ((0, slice(0, 7), 0), "position 7"),
        ((0, slice(3, 3), 0), "positions 3:3 hold no token"),
        ((0, slice(0, 3, 0), 0), "step of at least 1"),
        ((0, slice(-1, 2), 0), "positions -1:2 hold no token"),
    ],
)
def test_what_is_not_there_is_one_line(arguments, says):
    with pytest.raises(TracerError, match=r"^[^\n]+$") as caught:
        place([Edit(*arguments, value=1.0)], *SIZES)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ({}, "either a value or a factor"),
        ({"value": 1.0, "factor": 2.0}, "either a value or a factor"),
        ({"value": float("nan")}, "within"),
        ({"factor": float("-inf")}, "within"),
        ({"value": 1e13}, "within"),
    ],
)
def test_an_edit_has_one_amount_of_sense(amount, says):
    with pytest.raises(TracerError, match=says):
        Edit(0, 0, 0, **amount)


def test_no_edit_is_refused():
    with pytest.raises(TracerError, match="there is no edit"):
        place([], *SIZES)
