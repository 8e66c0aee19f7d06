"""A hypothesis while it is written: what stands in the wizard's fields, and the record that this makes.

Kept in the session, so that it is there after another page was looked at. Knows no widgets.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import count

from lab import HypothesisBody, Prompt, SlottedText, Split, TokenPlace
from lab.claim import CircuitNode, ControlFamily, Exclusion, Intervention, Setting, Stop, Supernode
from lab.hypothesis import SHOW_NOTHING_IS_THERE, tokens_needed
from lab.runs.baseline import Asked, Baseline, asked
from lab.splits import units
from lab.statistics import units_for
from lab.token_places import TokenIds
from ui.wizard_places import FindSlots, places, slot_finder, with_slots

_numbers = count()

OVER = -1.0  # × own activation: turned over
UP = 2.0  # × own activation: raised
FACTORS = (-2.0, -1.0, 0.0, 0.5, 2.0)  # × own activation, or that on the other prompt
SHARES = (2.0, 0.5, 0.0, -1.0, 1.0)  # of an amount in another unit
SETS = 199  # controls: p can be as small as .005
SMALLEST = {"logit_difference": 0.5, "probability": 0.05, "rank": 1.0, "kl": 0.05}  # effects that matter
BOUNDS = {"logit_difference": 0.0, "probability": 0.1, "rank": 1.0}  # of the baseline
LEAST_UNITS = 5
LAST = TokenPlace()  # the last token of the prompt


@dataclass(frozen=True)
class Node:
    """A feature. `position`: its token on the prompt where it was found; None: `at` says where, as people chose it."""

    layer: int
    feature: int
    position: int | None = None
    at: TokenPlace = LAST
    maximum: float | None = None


@dataclass
class Piece:
    """A supernode, and what it is set to."""

    name: str
    nodes: tuple[Node, ...]
    found_on: str = ""  # the prompt of the graph or run
    second: bool = False  # of the second circuit of an equivalence
    mediates: bool = False
    on: bool = True  # it is set; else it is looked at
    unit: str = "factor"
    amount: float = OVER
    others: str = "-2, 0, 0.5, 2"  # other doses, as typed


def doses(unit: str, primary: float) -> str:
    """Amounts beside the primary one, as many in each unit, so that supernodes are set together dose by dose."""
    ladder = FACTORS if unit in ("factor", "donor") else [share * (primary or 1.0) for share in SHARES]
    return in_line([amount for amount in ladder if amount != primary][:4])


def in_line(amounts: Iterable[float]) -> str:
    return ", ".join(repr(amount).removesuffix(".0") for amount in amounts)


@dataclass(frozen=True)
class Refused:
    """A row of the table of prompts that can't be one yet. `prompt`: what it was before, with its slots."""

    at: int  # where it stands among prompts and other such rows
    row: dict[str, str | None]  # by column
    prompt: Prompt | None = None


@dataclass
class Writing:
    source: str = "new"  # what it was begun from, in the session
    graph: str | None = None  # the key of the graph
    model: str = ""
    features: str = ""
    model_fingerprint: str = ""
    basis_fingerprint: str = ""
    title: str = ""
    claim: str = ""  # empty: the sentence that the fields make
    kind: str = "necessity"
    notes: str = ""
    pieces: list[Piece] = field(default_factory=list)
    protocol: str = "clamp"
    layers: tuple[int, int] | None = None
    prompts: list[Prompt] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    seen: tuple[str, ...] = ()  # prompts, or families, on which the circuit was found
    off_target: tuple[Prompt, ...] = ()
    metric: str = "logit_difference"
    direction: str = "decrease"
    smallest: float = SMALLEST["logit_difference"]
    rule: str = "logit_difference"
    bound: float = BOUNDS["logit_difference"]
    controls: tuple[ControlFamily, ...] = ()
    alpha: float = 0.05
    correction: str = "bh"
    notebook: str | None = None
    fewest: int | None = None  # units; None: what α takes
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))
    split_seed: int = 0
    discovery: float = 0.0
    exact: set[Asked] = field(default_factory=set)  # prompts whose tokens are as they must be, not typed here
    baselines: dict[Asked, Baseline] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)  # what stands in fields and was not taken yet
    said: tuple[bool, str] | None = None  # what came of adding prompts: is it a refusal, and its words
    faults: dict[str, str | None] = field(default_factory=dict)  # what in the tables can't be taken, by table
    visibility: str = "lab"  # of the record that it makes
    record: str | None = None  # this becomes its next version
    base: int = 0
    id: int = field(default_factory=lambda: next(_numbers))  # in the keys of its fields, which are no other's
    revision: int = 0  # raised where fields must start anew with what stands here

    def __post_init__(self) -> None:
        if not self.controls and self.kind not in SHOW_NOTHING_IS_THERE:
            self.controls = (ControlFamily(sets=SETS, seed=self.seed),)
        self.split_seed = self.split_seed or self.seed

    # What follows from the fields -------------------------------------------------------------------------------------

    @property
    def two_sided(self) -> bool:
        """Does p count both sides? TOST is two tests of one side each."""
        return self.direction == "two_sided" and self.kind not in SHOW_NOTHING_IS_THERE

    @property
    def fewest_units(self) -> int:
        if self.fewest is not None:
            return self.fewest
        return max(LEAST_UNITS, units_for(self.alpha, self.two_sided))

    def texts(self) -> set[str]:
        """Of the prompts, and of rows that can't be one yet."""
        found = {prompt.text for prompt in self.prompts} | {refused.row["prompt"] for refused in self.refused}
        return {text for text in found if text is not None}

    def part(self, name: str) -> list[Piece]:
        """The pieces of `circuit`, `second` or `mediators`, as the kind has them."""
        first = [piece for piece in self.pieces if not piece.second]
        if name == "second":
            return [piece for piece in self.pieces if piece.second] if self.kind == "equivalence" else []
        mediates = self.kind == "mediation"
        return [piece for piece in first if (mediates and piece.mediates) == (name == "mediators")]

    def set_pieces(self) -> list[Piece]:
        return [piece for piece in (*self.part("circuit"), *self.part("second")) if piece.on]

    def with_tokens(self) -> list[Prompt]:
        """The prompts with target and competitor where metric and rule need them: as given, or as the model says."""
        needed, found = tokens_needed(self.metric, self.rule), []
        for prompt in self.prompts:
            baseline = self.baselines.get(asked(prompt), Baseline())
            told = {name: getattr(baseline, name) or getattr(prompt, name) for name in ("target", "competitor")}
            update = {name: value for name, value in told.items() if name in needed or getattr(prompt, name)}
            found.append(prompt.model_copy(update=update))
        return found

    # The record -------------------------------------------------------------------------------------------------------

    def body(self, token_ids: TokenIds, claim: str) -> HypothesisBody:
        """A draft of the record, split. `claim`: the sentence where none was typed.

        Raises ValidationError for what makes no hypothesis, TracerError for what is no text.
        """
        known: TokenIds = cache(lambda text: tuple(token_ids(text)))
        prompts, find = self._in_families(self.with_tokens()), slot_finder(self.prompts)
        parts = {name: self._supernodes(self.part(name), find, known) for name in ("circuit", "second", "mediators")}
        needed = {node.at.slot: None for part in parts.values() for s in part for node in s.nodes if node.at.slot}
        names = units(prompts)
        of_text = {prompt.text: prompt.unit for prompt in prompts}
        where = (of_text.get(seen, seen) for seen in (*self._found_on(), *self.seen))
        held = {"protocol": self.protocol, "layers": self.layers if self.protocol == "constrained" else None}
        bound = None if self.rule == "none" else self.bound
        return HypothesisBody(
            title=self.title,
            claim=self.claim or claim,
            kind=self.kind,  # type: ignore[arg-type]
            notes=self.notes,
            model=self.model,
            features=self.features,
            model_fingerprint=self.model_fingerprint,
            basis_fingerprint=self.basis_fingerprint,
            circuit=parts["circuit"],
            second_circuit=parts["second"],
            mediators=parts["mediators"],
            intervention=Intervention.model_validate({"settings": tuple(map(_setting, self.set_pieces()))} | held),
            prompts=tuple(_slotted(prompt, needed, find) for prompt in prompts),
            split=Split(
                seed=self.split_seed,
                discovery=self.discovery,
                seen=tuple(dict.fromkeys(unit for unit in where if unit in names)),
            ),
            off_target=tuple(_slotted(prompt, needed, find) for prompt in self.off_target),
            metric=self.metric,  # type: ignore[arg-type]
            direction=self.direction,  # type: ignore[arg-type]
            smallest_effect=self.smallest,
            controls=self.controls,
            alpha=self.alpha,
            correction=self.correction,  # type: ignore[arg-type]
            notebook=self.notebook or None,
            exclusion=Exclusion(rule=self.rule, bound=bound),  # type: ignore[arg-type]
            stop=Stop(fewest_units=self.fewest_units),
            seed=self.seed,
        ).with_split()

    def _found_on(self) -> list[str]:
        return list(dict.fromkeys(piece.found_on for piece in self.pieces if piece.found_on))

    def _in_families(self, prompts: list[Prompt]) -> list[Prompt]:
        """Where some have a family, a prompt without one is a family of its own."""
        if all(prompt.family is None for prompt in prompts):
            return prompts
        return [p.model_copy(update={"family": p.family or " ".join(p.text.split())[:300]}) for p in prompts]

    def _supernodes(self, pieces: Iterable[Piece], find: FindSlots, token_ids: TokenIds) -> tuple[Supernode, ...]:
        return tuple(Supernode(name=piece.name, nodes=self._nodes(piece, find, token_ids)) for piece in pieces)

    def _nodes(self, piece: Piece, find: FindSlots, token_ids: TokenIds) -> tuple[CircuitNode, ...]:
        """Each at the token that stands for its own on all prompts."""
        own = SlottedText(text=piece.found_on, slots=find(piece.found_on)) if piece.found_on else None
        found = {}
        if own is not None:
            positions = list(dict.fromkeys(node.position for node in piece.nodes if node.position is not None))
            texts = [prompt.text for prompt in self.prompts]
            found = dict(zip(positions, places(positions, own, texts, token_ids), strict=True))
        maxima = piece.on and piece.unit == "maximum"
        return tuple(
            CircuitNode(
                layer=node.layer,
                feature=node.feature,
                at=node.at if node.position is None else found.get(node.position, node.at),
                maximum=node.maximum if maxima or node.position is None else None,
            )
            for node in piece.nodes
        )


def of_now(writing: Writing, act: Callable[[], None]) -> Callable[[], None]:
    """A field's callback that does nothing once fields have begun anew: Streamlit calls the one that was replaced back
    once more, with its old value, when a part of the page that ran meanwhile draws all of it again."""
    drawn = writing.revision
    return lambda: act() if writing.revision == drawn else None


def _setting(piece: Piece) -> Setting:
    others = piece.others.replace("\u2212", "-").replace(",", " ").replace(";", " ").split()
    told = {"supernode": piece.name, "unit": piece.unit, "primary": piece.amount, "others": tuple(others)}
    return Setting.model_validate(told)  # reads the numbers


def _slotted(prompt: Prompt, needed: Iterable[str], find: FindSlots) -> Prompt:
    donor = prompt.donor
    if donor is not None:
        donor = SlottedText(text=donor.text, slots=with_slots(donor, needed, find))
    return prompt.model_copy(update={"slots": with_slots(prompt, needed, find), "donor": donor})


def of_body(body: HypothesisBody, source: str) -> Writing:
    """The fields that make this record again."""
    settings = {setting.supernode: setting for setting in body.intervention.settings}

    def pieces(supernodes: Iterable[Supernode], second: bool = False, mediates: bool = False) -> list[Piece]:
        found = []
        for supernode in supernodes:
            setting = settings.get(supernode.name)
            nodes = tuple(Node(n.layer, n.feature, None, n.at, n.maximum) for n in supernode.nodes)
            piece = Piece(supernode.name, nodes, second=second, mediates=mediates, on=setting is not None)
            if setting is not None:
                piece.unit, piece.amount, piece.others = setting.unit, setting.primary, in_line(setting.others)
            found.append(piece)
        return found

    writing = Writing(
        source=source,
        model=body.model,
        features=body.features,
        model_fingerprint=body.model_fingerprint,
        basis_fingerprint=body.basis_fingerprint,
        title=body.title,
        claim=body.claim,
        kind=body.kind,
        notes=body.notes,
        pieces=[
            *pieces(body.circuit),
            *pieces(body.second_circuit, second=True),
            *pieces(body.mediators, mediates=True),
        ],
        protocol=body.intervention.protocol,
        layers=body.intervention.layers,
        prompts=[prompt.model_copy(update={"use": None}) for prompt in body.prompts],
        seen=body.split.seen,
        off_target=body.off_target,
        metric=body.metric,
        direction=body.direction,
        smallest=body.smallest_effect,
        rule=body.exclusion.rule,
        bound=0.0 if body.exclusion.bound is None else body.exclusion.bound,
        controls=body.controls,
        alpha=body.alpha,
        correction=body.correction,
        notebook=body.notebook,
        fewest=body.stop.fewest_units,
        seed=body.seed,
        discovery=body.split.discovery,
    )
    writing.exact = {asked(prompt) for prompt in body.prompts}
    writing.controls, writing.split_seed = body.controls, body.split.seed  # as they are, even none, even 0
    return writing
