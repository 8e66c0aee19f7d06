"""Where a circuit that was found on one prompt lies on others: in a slot, or counted from the end that they share.

Knows no widgets and no model: it is handed `token_ids`, as the record is (lab/token_places.py).
"""

from collections.abc import Callable, Iterable, Sequence
from string import whitespace

from lab import LabError, Slot, SlottedText, TokenPlace
from lab.token_places import TokenIds, slot_tokens

FindSlots = Callable[[str], dict[str, Slot]]

VARIES = "varies"
"""The slot that prompts get where they have none: what differs between them."""


def slot_finder(prompts: Sequence[SlottedText]) -> FindSlots:
    """Tells the slots of a text among these prompts: its own; else those of a prompt that reads the same but for its
    slots; else, where no prompt has any, what differs between them, if all begin or end with the same words."""
    own = {prompt.text: prompt.slots for prompt in prompts if prompt.slots}
    patterns = dict.fromkeys(_pattern(prompt) for prompt in prompts if prompt.slots)
    if not patterns:
        begin, end = _shared([prompt.text for prompt in prompts])
        patterns = {((VARIES,), (begin, end)): None} if begin or end else {}

    def find(text: str) -> dict[str, Slot]:
        if text in own:
            return own[text]
        return next((found for names, pieces in patterns if (found := _filled(text, names, pieces))), {})

    return find


def with_slots(text: SlottedText, needed: Iterable[str], find: FindSlots) -> dict[str, Slot]:
    """Its slots, and those among `needed` that it lacks, as far as they can be told."""
    lacking = [name for name in needed if name not in text.slots]
    found = find(text.text) if lacking else {}
    return text.slots | {name: found[name] for name in lacking if name in found}


def places(positions: Iterable[int], own: SlottedText, prompts: Sequence[str], token_ids: TokenIds) -> list[TokenPlace]:
    """Where tokens of the prompt `own` (by number, from 0) are to be looked for on all of them.

    In a slot: its last token, its first, or counted from there. Else from the end, or from the beginning where only
    that is the same on all prompts.
    """
    ids = list(token_ids(own.text))
    others = [list(token_ids(text)) for text in prompts] or [ids]
    n_begin = min(_n_same(ids, other) for other in others)
    n_end = min(_n_same(ids[::-1], other[::-1]) for other in others)
    slots = _slot_ranges(own, token_ids)
    return [_place(position, len(ids), n_begin, n_end, slots) for position in positions]


def _place(position: int, n: int, n_begin: int, n_end: int, slots: dict[str, range]) -> TokenPlace:
    for name, tokens in slots.items():
        if position in tokens:
            at = position - tokens.start
            return TokenPlace(slot=name, token=-1 if position == tokens[-1] else at)
    from_end = position >= n - n_end or position >= n_begin
    return TokenPlace(token=position - n if from_end else position)


def _slot_ranges(prompt: SlottedText, token_ids: TokenIds) -> dict[str, range]:
    found = {}
    for name in prompt.slots:
        try:
            found[name] = slot_tokens(name, prompt, token_ids)
        except LabError:  # not whole tokens: said where the prompts are checked
            continue
    return found


def _n_same(ids: Sequence[object], others: Sequence[object]) -> int:
    """How many are the same from the beginning on."""
    return next((n for n, (a, b) in enumerate(zip(ids, others, strict=False)) if a != b), min(len(ids), len(others)))


def _pattern(prompt: SlottedText) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the slots in the order of the text, and what stands before each, and after the last."""
    slots = sorted(prompt.slots.items(), key=lambda item: item[1].start)
    ends = [0, *(slot.end for _, slot in slots)]
    starts = [*(slot.start for _, slot in slots), len(prompt.text)]
    return tuple(name for name, _ in slots), tuple(
        prompt.text[end:start] for end, start in zip(ends, starts, strict=True)
    )


def _filled(text: str, names: Sequence[str], pieces: Sequence[str]) -> dict[str, Slot]:
    """The slots of a text that reads as the pattern; none if it reads otherwise, or could be read in two ways."""
    if not text.startswith(pieces[0]) or not text.endswith(pieces[-1]) or "" in pieces[1:-1]:
        return {}
    found, start = {}, len(pieces[0])
    for name, piece in zip(names, pieces[1:], strict=True):
        last = name == names[-1]
        end = len(text) - len(piece) if last else text.find(piece, start + 1)
        if end <= start:
            return {}
        found[name] = Slot(text=text[start:end], start=start)
        start = end + len(piece)
    return found


def _shared(texts: Sequence[str]) -> tuple[str, str]:
    """What all begin and what all end with, in whole words; nothing where one text is no more than that."""
    if len(set(texts)) < 2:
        return "", ""
    begin = _same_beginning(texts)
    begin = begin[: max(begin.rfind(space) + 1 for space in whitespace)]
    end = _same_beginning([text[len(begin) :][::-1] for text in texts])[::-1]
    cut = [at for space in whitespace if (at := end.find(space)) >= 0]
    end = end[min(cut) :] if cut else ""
    return (begin, end) if len(begin) + len(end) < min(map(len, texts)) else ("", "")


def _same_beginning(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)  # all others are between them
    return first[: _n_same(first, last)]
