"""Which token of a prompt a node of a circuit is at: named so that it is the right one on prompts of any length.

Knows no tokenizer: it is handed `token_ids`, what the model makes of a text (`ReplacementModel.token_ids`). A stretch
of text is found among the tokens by what the text up to it becomes: if these are the first tokens of the whole prompt,
it ends where they end.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Annotated

from pydantic import Field

from lab.bodies import MOST_TOKENS, Part
from lab.errors import LabError
from lab.prompts import SlotName, SlottedText

TokenIds = Callable[[str], Sequence[int]]


class TokenPlace(Part):
    """A token of the whole prompt, or of one of its slots: 0 is the first, −1 the last.

    The first of the whole prompt is what the tokenizer puts before it, where it does.
    """

    slot: SlotName | None = None
    token: Annotated[int, Field(ge=-MOST_TOKENS, lt=MOST_TOKENS)] = -1

    def __str__(self) -> str:
        return f"token {self.token} of " + ("the prompt" if self.slot is None else f"slot {self.slot!r}")


def slot_tokens(name: str, prompt: SlottedText, token_ids: TokenIds) -> range:
    """The positions of a slot's tokens, with the space before it where the tokenizer joins the two.

    Raises LabError where the slot is not there, or does not begin and end where tokens do.
    """
    if name not in prompt.slots:
        raise LabError(f"it has no slot {name!r}: say which part of it that is")
    slot, ids = prompt.slots[name], list(token_ids(prompt.text))
    first = _tokens_before(prompt.text[: slot.start], ids, token_ids)
    last = _n_shared(prompt.text[: slot.end], ids, token_ids)
    if first is None or last is None or first >= last:
        raise LabError(f"slot {name!r} is not whole tokens: the tokenizer joins {slot.text!r} with what is next to it")
    return range(first, last)


def position(place: TokenPlace, prompt: SlottedText, token_ids: TokenIds) -> int:
    """0 for the first token of the prompt. Raises LabError where it is not there."""
    whole = range(len(token_ids(prompt.text)))
    tokens = whole if place.slot is None else slot_tokens(place.slot, prompt, token_ids)
    if not -len(tokens) <= place.token < len(tokens):
        raise LabError(f"there is no {place}: it has {len(tokens)}")
    return tokens[place.token]


def next_token(text: str, prompt: SlottedText, token_ids: TokenIds) -> int:
    """The id of a token, given as text, when it comes right after the prompt.

    Raises LabError where it is no token or several, or is joined with the end of the prompt.
    """
    before, after = list(token_ids(prompt.text)), list(token_ids(prompt.text + text))
    if len(after) == len(before) + 1 and after[:-1] == before:
        return after[-1]
    if after[: len(before)] != before:
        raise LabError(f"the tokenizer joins {text!r} with the end of the prompt: move a space, or take another token")
    raise LabError(f"{text!r} is {len(after) - len(before)} tokens after this prompt: give the first of them")


def _tokens_before(text: str, ids: list[int], token_ids: TokenIds) -> int | None:
    """How many tokens stand before what follows this text; spaces at its end may be part of what follows."""
    while True:
        n = _n_shared(text, ids, token_ids)
        if n is not None or not text[-1:].isspace():
            return n
        text = text[:-1]


def _n_shared(text: str, ids: list[int], token_ids: TokenIds) -> int | None:
    """The number of tokens of a text if they are the first of these, else None."""
    own = list(token_ids(text)) if text else _put_before(token_ids)
    return len(own) if ids[: len(own)] == own else None


def _put_before(token_ids: TokenIds) -> list[int]:
    """What the tokenizer puts before every prompt."""
    pairs = zip(token_ids("a"), token_ids("b"), strict=False)
    return [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
