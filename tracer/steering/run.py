"""Run a prompt with features set to values: (value − activation) × write vector is added to what the real MLPs put out.

A pass of the real model without edits, in which activations and what the protocol holds are looked at; then one in
which every condition (a set of edits) is a row, from the lowest edited layer and position on. Nothing is replaced by a
reconstruction, so an edit that asks for the activation there changes nothing, to the bit. A neuron is edited at the
MLP's output too, not at the input of the down projection: it is the same sum, and protocols that hold MLP outputs leave
no other place, so features of every basis go one way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import Basis
from tracer.model.anatomy import Anatomy
from tracer.model.forward import Hooks, hooked
from tracer.steering.baseline import Baseline, baseline, last_of_each, report, starting_at
from tracer.steering.edits import Applied, Edit, Placed, Push, place
from tracer.steering.protocols import Protocol
from tracer.steering.sites import Changes, Known, Place, Reading, Site
from tracer.steering.steered import Steered

BATCH_MEMORY = 1 << 29
"""Bytes that the runs of one batch may take beside the weights."""


@dataclass
class Condition:
    """One set of edits, placed on a prompt."""

    placed: list[Placed]
    pushes: list[Push] = field(default_factory=list)

    @property
    def acts(self) -> bool:
        """On the prompt."""
        return bool(self.placed or self.pushes)

    @property
    def lowest(self) -> int:
        """The lowest layer that is changed."""
        return min([p.layer for p in self.placed] + [p.layer for p in self.pushes])

    @property
    def first(self) -> int:
        """The first position that is changed."""
        return min([p.position for p in self.placed] + [p.position for p in self.pushes])


def condition(
    edits: Sequence[Edit | Push], n_tokens: int, anatomy: Anatomy, basis: Basis, generating: bool = False
) -> Condition:
    """Raises TracerError for what lies outside the prompt or the model."""
    pushes = [e for e in edits if isinstance(e, Push)]
    for push in pushes:
        if not (0 <= push.layer < len(anatomy.layers) and 0 <= push.position < n_tokens):
            raise TracerError(f"a push at layer {push.layer}, position {push.position} is outside the model or prompt")
    plain = [e for e in edits if isinstance(e, Edit)]
    if pushes and not plain:
        return Condition([], pushes)
    return Condition(place(plain, n_tokens, len(anatomy.layers), basis.n_features, generating), pushes)


@torch.no_grad()
def run_many(
    anatomy: Anatomy,
    basis: Basis,
    token_ids: list[int],
    excluded: list[int],
    conditions: Sequence[Sequence[Edit | Push]],
    protocol: Protocol,
    watch: Sequence[Place] = (),
    generating: bool = False,
    progress: Progress = silent,
    batch_memory: int = BATCH_MEMORY,
) -> Iterator[Steered]:
    """One run a condition, in their order, as batches end. `watch`: features whose activations are looked at, as the
    model has them: of one that is edited, before the edit.

    `generating`: edits that begin after the prompt are left out. Raises TracerError for edits outside the prompt or the
    model, and where none of a condition's writes.
    """
    placed = [condition(edits, len(token_ids), anatomy, basis, generating) for edits in conditions]
    if not placed:
        raise TracerError("there is nothing to run; give at least one set of edits")
    check_writes(basis, placed, protocol, anatomy.device)
    watch = [_known_place(at, len(token_ids), anatomy, basis) for at in watch]
    acting = [c for c in placed if c.acts]
    layer, first = min((c.lowest for c in acting), default=0), min((c.first for c in acting), default=0)
    reads = {p.layer for c in placed for p in c.placed} | {at for at, _, _ in watch}
    base = baseline(anatomy, basis, token_ids, excluded, protocol, reads, layer, first, progress)
    size = batch_size(anatomy, basis, base, placed, layer, batch_memory)
    for start in range(0, len(placed), size):
        some = placed[start : start + size]
        part = Batch(anatomy, basis, base, some, protocol, layer, watch)

        def told(fraction: float, start: int = start, n: int = len(some)) -> None:
            progress("steer", (start + n * fraction) / len(placed))

        yield from part.run(told)


def _known_place(at: Place, n_tokens: int, anatomy: Anatomy, basis: Basis) -> Place:
    """Counted from the start. Raises TracerError for what is not there."""
    layer, position, feature = at
    (found,) = place([Edit(layer, position, feature, factor=1)], n_tokens, len(anatomy.layers), basis.n_features)
    return found.layer, found.position, found.feature


def check_writes(basis: Basis, conditions: Sequence[Condition], protocol: Protocol, device: torch.device) -> None:
    """Raises TracerError for a condition that would change nothing, as it writes outside the range held."""
    slots: dict[int, int] = {}
    for c in conditions:
        reached = {p.layer for p in c.pushes}
        for p in c.placed:
            if p.layer not in slots:
                one = torch.zeros(1, dtype=torch.int64, device=device)
                slots[p.layer] = basis.write_vectors(p.layer, one).shape[1]
            reached |= set(range(p.layer, p.layer + slots[p.layer]))
        if reached and not any(protocol.writes(at) for at in reached):
            first, last = protocol.layers[0], protocol.layers[-1]
            raise TracerError(f"no edit writes within layers {first} to {last}, the range held; choose others")


def batch_size(
    anatomy: Anatomy, basis: Basis, base: Baseline, conditions: Sequence[Condition], layer: int, memory: int
) -> int:
    """How many rows run at once: activations of a layer, keys and values of all, patterns, edits and logits of each."""
    n, n_layers, parts = base.n_tokens, len(anatomy.layers), anatomy.layers[0]
    fresh = n - min((c.first for c in conditions if c.acts), default=0)
    one = torch.zeros(1, dtype=torch.int64, device=anatomy.device)
    slots = basis.write_vectors(layer, one).shape[1]
    edits = 2 * slots * anatomy.d_model * max(len(c.placed) for c in conditions)
    width = 8 * anatomy.d_model + 4 * anatomy.d_mlp + 3 * parts.n_heads * n
    kept = 4 * n_layers * n * parts.n_kv_heads * parts.head_dim
    changed = (n_layers - layer) * fresh * anatomy.d_model
    return max(1, memory // (4 * (fresh * width + kept + changed + edits + 3 * anatomy.vocab_size)))


class Batch:
    """Some conditions of one prompt, a row each."""

    def __init__(
        self,
        anatomy: Anatomy,
        basis: Basis,
        base: Baseline,
        conditions: list[Condition],
        protocol: Protocol,
        layer: int,
        watch: Sequence[Place] = (),
    ) -> None:
        self.anatomy, self.basis, self.base, self.protocol, self.layer = anatomy, basis, base, protocol, layer
        self.conditions = conditions
        named: dict[int, set[int]] = {}
        for p in (p for c in conditions for p in c.placed):
            named.setdefault(p.layer, set()).add(p.feature)
        self.known = {at: Known(basis, at, features, anatomy.device) for at, features in sorted(named.items())}
        self.sites = self._sites(range(len(conditions)))
        self.watched = Watched(anatomy, basis, base, watch)
        self.applied: list[list[Applied]] = [[] for _ in conditions]
        for site in self.sites:
            assert site.before is not None
            written = tuple(at for at in site.reaches if protocol.writes(at))
            values, before = site.value(site.before).tolist(), site.before.tolist()
            entries = zip(site.row.tolist(), site.position.tolist(), site.column.tolist(), values, before, strict=True)
            for row, position, column, value, was in entries:
                feature = int(site.features[column])
                self.applied[row].append(Applied(site.layer, position, feature, value, was, written))

    def _sites(self, rows: Sequence[int]) -> list[Site]:
        """Of these conditions, numbered as rows of a run."""
        entries: dict[int, list[tuple[int, Placed]]] = {}
        for row, c in enumerate(rows):
            for placed in self.conditions[c].placed:
                entries.setdefault(placed.layer, []).append((row, placed))
        sites = [Site(self.known[layer], mine, self.base.excluded) for layer, mine in sorted(entries.items())]
        for site in sites:
            site.before = site.at_first(self.base.inputs[site.layer])
        return sites

    def moved(self) -> list[int]:
        """The conditions that ask for another activation than there is. The others are the run without edits."""
        return [
            i
            for i, (mine, c) in enumerate(zip(self.applied, self.conditions, strict=True))
            if c.pushes or any(a.value != a.before for a in mine)
        ]

    def run(self, told: Callable[[float], None]) -> Iterator[Steered]:
        moved = self.moved()
        base, found = self.base, {}
        if moved:
            logits, raw, watched, _ = self.forward(moved, told)
            # copies: a result that is kept must not keep all of its batch
            found = {i: tuple(x[row].clone() for x in (logits, raw, watched)) for row, i in enumerate(moved)}
        for i in range(len(self.conditions)):
            now = found.get(i) or (*base.own_logits(self.anatomy), self.watched.before)
            yield self.steered(i, *now)

    def steered(self, i: int, logits: Tensor, raw: Tensor, watched: Tensor) -> Steered:
        held = self.protocol.layers
        baseline, raw_baseline = self.base.own_logits(self.anatomy)
        return Steered(
            token_ids=self.base.token_ids,
            protocol=self.protocol.name,
            layers=(held.start, held.stop) if self.protocol.name == "constrained" else None,
            edits=self.applied[i],
            logits=logits,
            baseline=baseline,
            raw_logits=raw,
            raw_baseline=raw_baseline,
            watched=watched,
            watched_baseline=self.watched.before,
        )

    def forward(self, rows: Sequence[int], told: Callable[[float], None]) -> tuple[Tensor, Tensor, Tensor, object]:
        """One pass of these conditions: logits and raw logits (B, V), watched activations (B, k), and the cache."""
        base, anatomy, n = self.base, self.anatomy, len(rows)
        first = min(self.conditions[i].first for i in rows)
        cache = base.prefix(first, n, self.layer)
        ids = torch.tensor([base.token_ids[first:]], device=anatomy.device).expand(n, -1)
        stream = base.streams[self.layer][:, first:].expand(n, -1, -1)
        live = range(self.layer, len(anatomy.layers))
        self.watched.start(n, first)
        with anatomy.lock, starting_at(anatomy, self.layer, stream), hooked(anatomy) as hooks:
            base.held.put_back(hooks, live, first, base.values())
            self._edit(hooks, rows, first)
            self.watched.look(hooks, live)
            report(hooks, anatomy, live, told)
            joined = base.logits is None
            if joined:
                base.join(hooks, anatomy)
            logits, raw = last_of_each(anatomy, hooks, ids, cache, first)
        if joined:
            logits, raw = base.take(logits, raw)
        return logits, raw, self.watched.now.cpu(), cache

    def _edit(self, hooks: Hooks, rows: Sequence[int], first: int) -> None:
        anatomy, protocol = self.anatomy, self.protocol
        changes = Changes(len(rows), first, self.base.n_tokens)
        for row, i in enumerate(rows):
            for push in self.conditions[i].pushes:
                if protocol.writes(push.layer):
                    changes.push(row, push, anatomy.d_model, anatomy.device)
        sites = self.sites if len(rows) == len(self.conditions) else self._sites(rows)
        changes.act(hooks, anatomy, self.basis, sites, self.layer, protocol.writes, measured=not protocol.layers)


class Watched:
    """Activations of some features, before (k,) and during a batch of runs (B, k)."""

    def __init__(self, anatomy: Anatomy, basis: Basis, base: Baseline, places: Sequence[Place]) -> None:
        self.anatomy, self.basis = anatomy, basis
        self.places, self.base = list(places), base
        self.before = torch.zeros(len(places))
        self._first = 0
        self.now = self.before
        self._known = {
            layer: Known(basis, layer, [f for at, _, f in places if at == layer], anatomy.device)
            for layer in {at for at, _, _ in places}
        }
        for layer, (index, reading) in self._readings(1, 0).items():
            self.before[index] = reading.at_first(base.inputs[layer]).cpu()

    def _readings(self, rows: int, first: int) -> dict[int, tuple[list[int], Reading]]:
        """A layer: which of the features lie in it at a position from `first` on, and how they are read, row by row."""
        found = {}
        for layer, known in self._known.items():
            index = [i for i, (at, position, _) in enumerate(self.places) if at == layer and position >= first]
            if index:
                row = [r for r in range(rows) for _ in index]
                position, feature = ([self.places[i][part] for i in index] * rows for part in (1, 2))
                found[layer] = index, Reading(known, row, position, feature, self.base.excluded)
        return found

    def start(self, rows: int, first: int) -> None:
        self._first = first
        self.now = self.before.expand(rows, -1).clone()

    def look(self, hooks: Hooks, live: range) -> None:
        rows = len(self.now)
        for layer, (index, reading) in self._readings(rows, self._first).items():
            if layer not in live:
                continue

            def take(inputs: Tensor, index: list[int] = index, reading: Reading = reading) -> None:
                self.now[:, index] = reading(inputs, self._first).view(rows, len(index)).cpu()

            self.base.held.watch_input(hooks, layer, self._first, take)
