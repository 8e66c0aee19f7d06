"""Continue a prompt under edits, several conditions side by side, token by token, with keys and values kept.

The prompt runs as in `run.py`, under its protocol. At generated tokens nothing is held, as there is no run without
edits to hold anything from: edits that go on over them set their feature by the activation that the running model has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import DynamicCache

from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import Basis
from tracer.model.anatomy import Anatomy
from tracer.model.forward import Hooks, hooked
from tracer.steering.baseline import baseline, last_of_each
from tracer.steering.edits import Edit, Ongoing, Placed, Push, ongoing
from tracer.steering.protocols import Protocol
from tracer.steering.run import BATCH_MEMORY, Batch, Condition, batch_size, check_writes, condition
from tracer.steering.sites import Changes, Known, Site

MOST_TOKENS = 1024
MOST_CONDITIONS = 64


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0: the likeliest token always. Each condition draws with a generator of its own from the same
    seed, so that conditions differ by their edits, not by their luck."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise TracerError(f"temperature is {self.temperature:g}; give 0 to 10")
        if not 0 < self.top_p <= 1:
            raise TracerError(f"top_p is {self.top_p:g}; give a share above 0 and at most 1")


GREEDY = Sampling()


@dataclass(frozen=True)
class Token:
    """One generated token of one condition."""

    condition: int
    index: int  # 0 for the first generated
    id: int
    logprob: float  # natural logarithm, in the run that generated it, at temperature 1
    alternatives: list[tuple[int, float]]  # the likeliest there, with probabilities
    last: bool  # a stop token, or the number asked for is reached


@torch.no_grad()
def generate(
    anatomy: Anatomy,
    basis: Basis,
    token_ids: list[int],
    excluded: list[int],
    conditions: Sequence[Sequence[Edit | Push]],
    protocol: Protocol,
    n_tokens: int,
    stop: Sequence[int],
    sampling: Sampling,
    alternatives: int = 5,
    progress: Progress = silent,
) -> Iterator[Token]:
    """One token of each condition that goes on, in turn, as they come. A condition without edits is the plain model.

    Raises TracerError for more tokens or conditions than the limits, and for what `run_many` refuses.
    """
    if not 1 <= n_tokens <= MOST_TOKENS:
        raise TracerError(f"{n_tokens:,} tokens can't be generated at once; ask for 1 to {MOST_TOKENS:,}")
    if len(token_ids) + n_tokens > anatomy.window:
        raise TracerError(
            f"{len(token_ids):,} tokens and {n_tokens:,} generated are more than the model's window of"
            f" {anatomy.window:,}; ask for fewer, or shorten the prompt"
        )
    if not 1 <= len(conditions) <= MOST_CONDITIONS:
        raise TracerError(f"{len(conditions)} conditions can't run side by side; give 1 to {MOST_CONDITIONS}")
    going_on = [
        ongoing([e for e in edits if isinstance(e, Edit)], len(token_ids), len(anatomy.layers), basis.n_features)
        for edits in conditions
    ]
    placed = [
        condition(edits, len(token_ids), anatomy, basis, generating=True) if edits else Condition([])
        for edits in conditions
    ]
    logits, cache = run_prompt(anatomy, basis, token_ids, excluded, placed, protocol, progress)
    known = known_onward(anatomy, basis, going_on)
    pick = [_Picker(sampling) for _ in conditions]
    live = list(range(len(conditions)))
    n = len(token_ids)
    for index in range(n_tokens):
        progress("generate", index / n_tokens)
        logprobs = torch.log_softmax(logits, dim=-1)
        chosen = [pick[c](logits[row]) for row, c in enumerate(live)]
        top = logprobs.topk(min(alternatives, logprobs.shape[1]))
        for row, (c, id) in enumerate(zip(live, chosen, strict=True)):
            pairs = zip(top.indices[row].tolist(), top.values[row].exp().tolist(), strict=True)
            last = index == n_tokens - 1 or id in stop
            yield Token(c, index, id, float(logprobs[row, id]), list(pairs), last)
        kept = [row for row, id in enumerate(chosen) if id not in stop]
        if index == n_tokens - 1 or not kept:
            return
        if len(kept) < len(live):
            cache.batch_select_indices(torch.tensor(kept, device=anatomy.device))
            live = [live[row] for row in kept]
        ids = torch.tensor([[chosen[row]] for row in kept], device=anatomy.device)
        logits = _step(anatomy, basis, known, ids, cache, n + index, [going_on[c] for c in live])


def run_prompt(
    anatomy: Anatomy,
    basis: Basis,
    token_ids: list[int],
    excluded: list[int],
    placed: list[Condition],
    protocol: Protocol,
    progress: Progress,
) -> tuple[Tensor, DynamicCache]:
    """Logits (B, V) after the prompt, and the keys and values of all of it, a row a condition."""
    acting = [c for c in placed if c.acts]
    check_writes(basis, acting, protocol, anatomy.device)
    layer = min((c.lowest for c in acting), default=0)
    first = min((c.first for c in acting), default=0)
    reads = {p.layer for c in acting for p in c.placed}
    base = baseline(anatomy, basis, token_ids, excluded, protocol, reads, layer, first, progress)
    cache = base.prefix(base.n_tokens, len(placed))
    part = Batch(anatomy, basis, base, placed, protocol, layer)
    moved, changed = part.moved(), []
    size = batch_size(anatomy, basis, base, acting, layer, BATCH_MEMORY) if acting else 1
    for start in range(0, len(moved), size):
        some = moved[start : start + size]
        logits, _, _, steered = part.forward(some, partial(progress, "steer"))
        changed.append(logits)
        for at in range(layer, len(cache.layers)):  # below, they are those of the run without edits
            for mine, own in zip(_pair(cache, at), _pair(steered, at), strict=True):
                mine[some] = own
    logits = base.own_logits(anatomy)[0].expand(len(placed), -1).clone()
    if moved:
        logits[moved] = torch.cat(changed)
    return logits, cache


def _pair(cache: DynamicCache, at: int) -> tuple[Tensor, Tensor]:
    layer = cache.layers[at]
    assert layer.keys is not None and layer.values is not None
    return layer.keys, layer.values


def _step(
    anatomy: Anatomy,
    basis: Basis,
    known: dict[int, Known],
    ids: Tensor,
    cache: DynamicCache,
    position: int,
    going_on: list[list[Ongoing]],
) -> Tensor:
    """(B, V): one more token of each row, at `position`, with the edits that act there."""
    with anatomy.lock, hooked(anatomy) as hooks:
        edit_onward(hooks, anatomy, basis, known, going_on, range(position, position + 1))
        return last_of_each(anatomy, hooks, ids, cache, position)[0]


def known_onward(anatomy: Anatomy, basis: Basis, going_on: list[list[Ongoing]]) -> dict[int, Known]:
    """The features that are edited after the prompt, by layer."""
    named: dict[int, set[int]] = {}
    for e in (e for edits in going_on for e in edits):
        named.setdefault(e.layer, set()).add(e.feature)
    return {layer: Known(basis, layer, features, anatomy.device) for layer, features in named.items()}


def edit_onward(
    hooks: Hooks,
    anatomy: Anatomy,
    basis: Basis,
    known: dict[int, Known],
    going_on: list[list[Ongoing]],
    positions: range,
) -> None:
    """In a pass over these positions after the prompt, a row of edits each: apply the edits that act there."""
    entries: dict[int, list[tuple[int, Placed]]] = {}
    for row, edits in enumerate(going_on):
        for position in positions:
            acting = {(e.layer, e.feature): e for e in edits if e.acts(position)}  # of the same, the last wins
            for e in acting.values():
                placed = Placed(e.layer, position, e.feature, e.factor, e.plus)
                entries.setdefault(e.layer, []).append((row, placed))
    sites = [Site(known[layer], mine, []) for layer, mine in sorted(entries.items())]
    changes = Changes(len(going_on), positions.start, positions.stop)
    lowest = min(entries, default=len(anatomy.layers))
    changes.act(hooks, anatomy, basis, sites, lowest, lambda _layer: True, measured=True)


class _Picker:
    """Picks the next token of one condition."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.generator = torch.Generator().manual_seed(sampling.seed)

    def __call__(self, logits: Tensor) -> int:
        if self.sampling.temperature == 0:
            return int(logits.argmax())
        probabilities = torch.softmax(logits.double() / self.sampling.temperature, dim=-1)
        if self.sampling.top_p < 1:
            ordered, order = probabilities.sort(descending=True)
            probabilities[order[ordered.cumsum(0) - ordered >= self.sampling.top_p]] = 0
        # a race of exponential clocks: the same luck picks the same token unless an edit changes who wins
        noise = torch.empty_like(probabilities).exponential_(generator=self.generator)
        return int((probabilities / noise).argmax())
