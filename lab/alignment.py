"""Do prompts fit the tokenizer of the model that they are meant for: is each token one, does each edit find its own."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from lab.claim import CircuitNode
from lab.errors import LabError
from lab.hypothesis import HypothesisBody
from lab.prompts import SlottedText, shown
from lab.token_places import TokenIds, TokenPlace, next_token, position, slot_tokens
from tracer.errors import TracerError


class _Found(NamedTuple):
    name: str
    text: SlottedText
    position: int  # where a place is on it


def misfits(body: HypothesisBody, token_ids: TokenIds) -> list[str]:
    """Every reason why these prompts can't be run as they are, one line each that says what to do; none: they can.

    `token_ids`: what the model makes of a text. Target and competitor must be one token each, two different ones; each
    node's token must be there on each prompt, and be the same one: the first or last token of a slot, or of a slot that
    has as many tokens everywhere; the last of the prompt, or one that is the same on all prompts, or all as long.
    """
    known = cache(lambda text: tuple(token_ids(text)))
    return [*_of_tokens(body, known), *_of_places(body, known)]


def _of_tokens(body: HypothesisBody, token_ids: TokenIds) -> Iterator[str]:
    for where, prompts in (("", body.prompts), ("off-target ", body.off_target)):
        for number, prompt in enumerate(prompts, start=1):
            found = []
            for text in (prompt.target, prompt.competitor):
                try:
                    found += [] if text is None else [next_token(text, prompt, token_ids)]
                except (LabError, TracerError) as problem:
                    yield f"{where}{shown(number, prompt)}: {problem}"
            if len(found) > len(set(found)):
                yield f"{where}{shown(number, prompt)}: target and competitor are the same token: give two"


def _of_places(body: HypothesisBody, token_ids: TokenIds) -> Iterator[str]:
    found: dict[TokenPlace, list[_Found]] = {}
    for name, text, nodes in body.texts():
        there: dict[TokenPlace, int] = {}
        for place in dict.fromkeys(node.at for node in nodes):
            try:
                there[place] = position(place, text, token_ids)
            except (LabError, TracerError) as problem:
                yield f"{name}: {problem}"
            else:
                found.setdefault(place, []).append(_Found(name, text, there[place]))
        yield from _fallen_together(name, nodes, there)
    for place, texts in found.items():
        yield from _astray(place, texts, token_ids)


def _fallen_together(name: str, nodes: list[CircuitNode], there: dict[TokenPlace, int]) -> Iterator[str]:
    """Two places that are one token on a short prompt: a feature would be set there once, elsewhere twice."""
    taken: dict[tuple[int, int, int], TokenPlace] = {}
    for node in nodes:
        if node.at in there:
            other = taken.setdefault((*node.which, there[node.at]), node.at)
            if other != node.at:
                yield f"{name}: {other} and {node.at} are one token there, and feature {node.feature} is at both"


def _astray(place: TokenPlace, texts: list[_Found], token_ids: TokenIds) -> Iterator[str]:
    """Places that stand for different tokens on prompts of different lengths."""
    first, *others = texts
    if place.slot is None and place.token != -1:
        ids = token_ids(first.text.text)
        for other in others:
            others_ids = token_ids(other.text.text)
            if len(others_ids) != len(ids) and others_ids[other.position] != ids[first.position]:
                yield (
                    f"{place} is not the same on {first.name} and {other.name}, which have {len(ids)} and"
                    f" {len(others_ids)} tokens: make it a slot, or take prompts of one length"
                )
    elif place.slot is not None and place.token not in (0, -1):
        n = len(slot_tokens(place.slot, first.text, token_ids))
        for other in others:
            if (m := len(slot_tokens(place.slot, other.text, token_ids))) != n:
                yield (
                    f"{place} is not the same where the slot has {n} tokens ({first.name}) and {m} ({other.name}): take"
                    " its first (0) or last (-1), or prompts on which it has as many"
                )
