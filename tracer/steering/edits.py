"""Which features are set to what, and at which tokens of a prompt. Knows nothing of models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index

from tracer.errors import TracerError

LARGEST = 1e12  # far above any activation; squares in norms stay within float32


GENERATED = "generated"
"""The position of an edit that acts on generated tokens alone."""

Position = int | slice | str | Sequence[int]


@dataclass(frozen=True)
class Donor:
    """Another prompt, and the token there whose activation an edit takes over."""

    tokens: tuple[int, ...]
    position: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(map(int, self.tokens)))


@dataclass(frozen=True)
class Edit:
    """Set a feature to `value`, to `factor` × its activation, or to its activation `plus` a number; one of the three.

    `position`: a token's place (negative counts from the end), a slice of places, a list of them, or GENERATED. A slice
    without an end goes on over generated tokens, from its start on. The activation is the one at that token in the run
    without edits; with a `donor`, for a factor, the one there; at a generated token the one that the running model has.
    Raises TracerError for none or several of the amounts, and for numbers that are not finite or above 1e12.
    """

    layer: int
    position: Position
    feature: int
    value: float | None = None
    factor: float | None = None
    plus: float | None = None
    donor: Donor | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.value, self.factor, self.plus) if x is not None]
        if len(given) != 1:
            raise TracerError("an edit needs either a value or a factor or a number to add; give one of them")
        if not abs(given[0]) <= LARGEST:
            raise TracerError(f"an edit can't set a feature to {given[0]}; give a number within ±{LARGEST:.0e}")
        if self.donor is not None and self.factor is None:
            raise TracerError("an edit that takes an activation from another prompt needs a factor")

    @property
    def at_donor(self) -> "Edit":
        """The same feature where its activation is taken from; of an edit with a donor."""
        assert self.donor is not None
        return Edit(self.layer, self.donor.position, self.feature, factor=1.0)

    @property
    def amount(self) -> tuple[float, float]:
        """(factor, plus): the value is factor × activation + plus."""
        if self.value is not None:
            return 0.0, float(self.value)
        return (float(self.factor), 0.0) if self.factor is not None else (1.0, float(self.plus or 0))


@dataclass(frozen=True)
class Push:
    """Add a random direction of a given length where features of a layer write: a control of an edit of that size."""

    layer: int
    position: int
    norm: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.norm <= LARGEST:
            raise TracerError(f"a push of length {self.norm} can't be made; give 0 to {LARGEST:.0e}")


@dataclass(frozen=True)
class Placed:
    """An edit at one position of a prompt: the value is factor × activation + plus."""

    layer: int
    position: int
    feature: int
    factor: float
    plus: float


@dataclass(frozen=True)
class Ongoing:
    """An edit of generated tokens, at every `step`-th position from `start` on."""

    layer: int
    start: int
    step: int
    feature: int
    factor: float
    plus: float

    def acts(self, position: int) -> bool:
        return position >= self.start and (position - self.start) % self.step == 0


@dataclass(frozen=True)
class Applied:
    """What an edit came to."""

    layer: int
    position: int
    feature: int
    value: float  # the activation it was set to
    before: float  # its activation in the run without edits; 0 where it doesn't count (excluded positions)
    writes: tuple[int, ...]  # the layers whose MLP outputs it changed; none outside the range of `constrained`


def place(
    edits: Iterable[Edit], n_tokens: int, n_layers: int, n_features: int, generating: bool = False
) -> list[Placed]:
    """One entry a layer, position and feature of the prompt, sorted so. Of several edits of the same, the last wins.

    Raises TracerError for what lies outside the model or the prompt, and if there are no edits. `generating`: edits
    that begin after the prompt are left to `ongoing`.
    """
    found: dict[tuple[int, int, int], Edit] = {}
    edits = list(edits)
    if not edits:
        raise TracerError("there is no edit; give at least one")
    for edit in edits:
        layer, feature = _address(edit, n_layers, n_features)
        if edit.position == GENERATED or (generating and _start(edit, n_tokens) >= n_tokens):
            if not generating:
                raise TracerError("an edit of generated tokens does nothing to the next one; generate some text")
            continue
        for position in positions(edit.position, n_tokens):
            found[layer, position, feature] = edit
    return [Placed(*where, *edit.amount) for where, edit in sorted(found.items(), key=lambda item: item[0])]


def ongoing(edits: Iterable[Edit], n_tokens: int, n_layers: int, n_features: int) -> list[Ongoing]:
    """The edits that act on generated tokens: open-ended slices, and those at GENERATED, in their order."""
    found = []
    for edit in edits:
        layer, feature = _address(edit, n_layers, n_features)
        start = n_tokens if edit.position == GENERATED else _start(edit, n_tokens)
        if start >= 0:
            step = edit.position.step or 1 if isinstance(edit.position, slice) else 1
            found.append(Ongoing(layer, start, step, feature, *edit.amount))
    return found


def _start(edit: Edit, n_tokens: int) -> int:
    """Where an open-ended slice begins; -1 for every other position."""
    position = edit.position
    if not isinstance(position, slice) or position.stop is not None or (position.step or 1) < 0:
        return -1
    start = 0 if position.start is None else _whole("position", position.start)
    return start if start >= 0 else max(start + n_tokens, 0)


def _address(edit: Edit, n_layers: int, n_features: int) -> tuple[int, int]:
    layer = _within("layer", edit.layer, n_layers, f"the model's {n_layers} layers")
    return layer, _within("feature", edit.feature, n_features, f"the {n_features:,} features of a layer")


def parse_position(text: str) -> int | slice:
    """`a`, or `a:b` with either end left out. Raises ValueError for anything else."""
    if ":" not in text:
        return int(text)
    first, last = (int(end) if end else None for end in text.split(":"))
    return slice(first, last)


def positions(position: Position, n_tokens: int) -> list[int]:
    """The places of a prompt that an edit's position names. Raises TracerError for those outside it, and for none."""
    if not isinstance(position, slice):
        places: list = list(position) if isinstance(position, Sequence) else [position]
        if not places:
            raise TracerError("an edit's list of positions is empty; give at least one")
        return [_position(p, n_tokens) for p in places]
    if position.step == 0:
        raise TracerError("positions of an edit can't be 0 apart; give a step of at least 1")
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


def _whole(what: str, number: object) -> int:
    try:
        return index(number)  # type: ignore[arg-type]
    except TypeError:
        raise TracerError(f"{what} {number!r} of an edit is no whole number") from None


def _outside(position: int, n_tokens: int) -> TracerError:
    return TracerError(
        f"position {position} of an edit is outside the prompt; its {n_tokens} tokens are 0 to {n_tokens - 1}"
    )


def _shown(span: slice) -> str:
    return ":".join("" if end is None else str(end) for end in (span.start, span.stop))
