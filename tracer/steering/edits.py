"""Which features are set to what, and at which tokens of a prompt. Knows nothing of models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index

from tracer.errors import TracerError

LARGEST = 1e12  # far above any activation; squares in norms stay within float32


@dataclass(frozen=True)
class Edit:
    """Set a feature to `value`, or to `factor` × its activation there in the run without edits; one of the two.

    `position`: a token's place (negative counts from the end), a slice of places, or a list of them. Raises TracerError
    for both or neither of value and factor, and for numbers that are not finite or above 1e12.
    """

    layer: int
    position: int | slice | Sequence[int]
    feature: int
    value: float | None = None
    factor: float | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.value, self.factor) if x is not None]
        if len(given) != 1:
            raise TracerError("an edit needs either a value or a factor; give one of the two")
        if not abs(given[0]) <= LARGEST:
            raise TracerError(f"an edit can't set a feature to {given[0]}; give a number within ±{LARGEST:.0e}")


@dataclass(frozen=True)
class Placed:
    """An edit at one position of a prompt."""

    layer: int
    position: int
    feature: int
    value: float | None
    factor: float | None


@dataclass(frozen=True)
class Applied:
    """What an edit came to."""

    layer: int
    position: int
    feature: int
    value: float  # the activation it was set to
    before: float  # its activation in the run without edits; 0 where it doesn't count (excluded positions)
    writes: tuple[int, ...]  # the layers whose MLP outputs it changed; none outside the range of `constrained`


def place(edits: Iterable[Edit], n_tokens: int, n_layers: int, n_features: int) -> list[Placed]:
    """One entry a layer, position and feature, sorted so. Of several edits of the same, the last wins.

    Raises TracerError for what lies outside the model or the prompt, and if there are no edits.
    """
    found: dict[tuple[int, int, int], Edit] = {}
    for edit in edits:
        layer = _within("layer", edit.layer, n_layers, f"the model's {n_layers} layers")
        feature = _within("feature", edit.feature, n_features, f"the {n_features:,} features of a layer")
        for position in positions(edit.position, n_tokens):
            found[layer, position, feature] = edit
    if not found:
        raise TracerError("there is no edit; give at least one")
    return [Placed(*where, edit.value, edit.factor) for where, edit in sorted(found.items(), key=lambda item: item[0])]


def parse_position(text: str) -> int | slice:
    """`a`, or `a:b` with either end left out. Raises ValueError for anything else."""
    if ":" not in text:
        return int(text)
    first, last = (int(end) if end else None for end in text.split(":"))
    return slice(first, last)


def positions(position: int | slice | Sequence[int], n_tokens: int) -> list[int]:
    """The places of a prompt that an edit's position names. Raises TracerError for those outside it, and for none."""
    if not isinstance(position, slice):
        places = list(position) if isinstance(position, Sequence) else [position]
        if not places:
            raise TracerError("an edit's list of positions is empty; give at least one")
        return [_position(p, n_tokens) for p in places]
    for end, last in ((position.start, n_tokens - 1), (position.stop, n_tokens)):
        if end is not None and not -n_tokens <= _whole("position", end) <= last:
            raise _outside(end, n_tokens)
    places = list(range(n_tokens))[position]
    if not places:
        raise TracerError(f"positions {_shown(position)} hold no token; give a start before the end")
    return places


def _position(position: int, n_tokens: int) -> int:
    if not -n_tokens <= _whole("position", position) < n_tokens:
        raise _outside(position, n_tokens)
    return index(position) % n_tokens


def _within(what: str, number: int, n: int, of: str) -> int:
    if not 0 <= _whole(what, number) < n:
        raise TracerError(f"{what} {number} of an edit is not there; {of} are 0 to {n - 1}")
    return index(number)


def _whole(what: str, number: int) -> int:
    try:
        return index(number)
    except TypeError:
        raise TracerError(f"{what} {number!r} of an edit is no whole number") from None


def _outside(position: int, n_tokens: int) -> TracerError:
    return TracerError(
        f"position {position} of an edit is outside the prompt; its {n_tokens} tokens are 0 to {n_tokens - 1}"
    )


def _shown(span: slice) -> str:
    return ":".join("" if end is None else str(end) for end in (span.start, span.stop))
