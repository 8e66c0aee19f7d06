"""The gallery says what is true of the default model."""

import pytest

from ui.examples import EXAMPLES


@pytest.mark.default_model
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.prompt[:30])
def test_the_example_gives_its_answer(gemma, example):
    top = gemma.next_tokens(gemma.token_ids(example.prompt), 10)
    assert top[0].token == example.answer
    assert top[0].probability > 0.3
    if example.minus:
        assert example.minus in [t.token for t in top]
