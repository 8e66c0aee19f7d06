"""The run of a prompt without edits, and how a run with edits goes on from it.

What lies below the lowest edited layer, or before the first edited position, is the same in every run with edits: the
stream is taken from the baseline there, attention reads the baseline's keys and values, and nothing is computed twice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from tracer.errors import Progress, silent
from tracer.features.basis import Basis
from tracer.features.points import watch_input
from tracer.model.anatomy import Anatomy
from tracer.model.forward import Hooks, hooked
from tracer.steering.protocols import Held, Protocol


@dataclass
class Baseline:
    """One prompt without edits. Logits (V,), float32, CPU, of the last position.

    The unembedding is most of a small model's weights, and reading them most of the time: the baseline goes through it
    as one more row of the first batch of runs with edits.
    """

    token_ids: list[int]
    excluded: list[int]
    held: Held
    cache: DynamicCache = field(default_factory=DynamicCache)  # keys and values (1, H_kv, T, d_head), a layer each
    streams: dict[int, Tensor] = field(default_factory=dict)  # a layer: (1, T, D) that goes into it
    inputs: dict[int, Tensor] = field(default_factory=dict)  # a layer: (1, T, …) at the features' read point
    last: Tensor = field(default_factory=lambda: torch.empty(0))  # (1, 1, D) that goes into the unembedding
    logits: Tensor | None = None  # as the model gives them, after its softcap; None until they are asked for
    raw_logits: Tensor | None = None  # before the softcap

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)

    def values(self) -> list[Tensor]:
        """Of attention, (1, H_kv, T, d_head), a layer each."""
        return [values for _, values in self._kept()]

    def prefix(self, first: int, rows: int, lowest: int = 0) -> DynamicCache:
        """Keys and values before position `first`, for a batch of runs; of layers below `lowest`, which don't run, for
        one row, as their length alone is asked for."""
        cache = DynamicCache()
        for layer, pair in enumerate(self._kept()):
            n = rows if layer >= lowest else 1
            cache.update(*(x[:, :, :first].expand(n, -1, -1, -1) for x in pair), layer)
        return cache

    def join(self, hooks: Hooks, anatomy: Anatomy) -> None:
        """Put the baseline before the rows of a pass, as they go into the unembedding."""
        hooks.change_before(anatomy.unembed, lambda x: torch.cat([self.last, x[:, -1:]]))

    def take(self, logits: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """(B + 1, V) each, of a pass that was joined: keep our own, and give back those of the others."""
        self.logits, self.raw_logits = logits[0].clone(), raw[0].clone()
        return logits[1:], raw[1:]

    def own_logits(self, anatomy: Anatomy) -> tuple[Tensor, Tensor]:
        """(V,) each, after and before the softcap."""
        if self.logits is None or self.raw_logits is None:
            nothing = torch.zeros(1, 1, anatomy.d_model, device=anatomy.device)
            with anatomy.lock, starting_at(anatomy, len(anatomy.layers), nothing), hooked(anatomy) as hooks:
                hooks.change_before(anatomy.unembed, lambda _x: self.last)
                ids = torch.tensor([self.token_ids[-1:]], device=anatomy.device)
                logits, raw = last_of_each(anatomy, hooks, ids, DynamicCache())
            self.logits, self.raw_logits = logits[0], raw[0]
        return self.logits, self.raw_logits

    def _kept(self) -> list[tuple[Tensor, Tensor]]:
        return [(layer.keys, layer.values) for layer in self.cache.layers]


@torch.no_grad()
def baseline(
    anatomy: Anatomy,
    basis: Basis,
    token_ids: list[int],
    excluded: list[int],
    protocol: Protocol,
    reads: set[int],
    stream: int,
    first: int,
    progress: Progress = silent,
) -> Baseline:
    """Run the prompt, keeping what goes into layer `stream`, what the protocol holds from there and from position
    `first` on, and what features of the layers `reads` read.

    `progress` hears of each layer of phase "baseline", and what it raises stops the run.
    """
    base = Baseline(token_ids, excluded, Held(anatomy, basis, protocol))
    with anatomy.lock, _instead(anatomy, anatomy.family.unembed, nn.Identity()), hooked(anatomy) as hooks:
        base.held.keep(hooks, stream, first)
        for at in reads:
            take = partial(base.inputs.__setitem__, at)
            watch_input(hooks, anatomy, anatomy.layers[at], basis.reads_at, take, whole=True)
        hooks.look_before(anatomy.layers[stream].module, partial(base.streams.__setitem__, stream))
        report(hooks, anatomy, range(len(anatomy.layers)), partial(progress, "baseline"))
        hooks.look(anatomy.final_norm, lambda _m, _i, o: setattr(base, "last", o[:, -1:]))
        _pass(anatomy, torch.tensor([token_ids], device=anatomy.device), base.cache)
    return base


def last_of_each(
    anatomy: Anatomy, hooks: Hooks, ids: Tensor, cache: DynamicCache, first: int = 0
) -> tuple[Tensor, Tensor]:
    """(B, V) each, float32, CPU: the logits of the last position after and before the softcap, of one pass.

    `ids` (B, t) stand at the positions from `first` on; `cache` holds what is before them, and takes them in.
    """
    raw: list[Tensor] = []
    hooks.look(anatomy.unembed, lambda _m, _i, o: raw.append(o[:, -1].float().cpu()))
    logits = _pass(anatomy, ids, cache, first)[:, -1].float().cpu()
    return logits, logits if torch.equal(logits, raw[-1]) else raw[-1]


def _pass(anatomy: Anatomy, ids: Tensor, cache: DynamicCache, first: int = 0) -> Tensor:
    positions = torch.arange(first, first + ids.shape[1], device=ids.device)[None]
    out: Any = anatomy.model(
        input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    return out.logits


def report(hooks: Hooks, anatomy: Anatomy, layers: range, progress: Callable[[float], None]) -> None:
    """Tell of each layer that has run, so that long work can be stopped within it."""
    for n, at in enumerate(layers, start=1):
        hooks.look(anatomy.layers[at].module, lambda _m, _i, _o, n=n: progress(n / len(layers)))


class _Known(nn.Module):
    """Stands for a layer that need not run: what goes into the lowest layer that runs is known."""

    def __init__(self, stream: Tensor) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, _hidden: Tensor, *_arguments: object, **_named: object) -> Tensor:
        return self.stream


@contextmanager
def starting_at(anatomy: Anatomy, layer: int, stream: Tensor) -> Iterator[None]:
    """Within this block passes of the model begin at `layer`, with `stream` (B, t, D) going into it."""
    known = _Known(stream)
    layers = nn.ModuleList([known] * layer + [part.module for part in anatomy.layers[layer:]])
    with _instead(anatomy, anatomy.family.layers, layers):
        yield


@contextmanager
def _instead(anatomy: Anatomy, path: str, module: nn.Module) -> Iterator[None]:
    """Another module at a place of the model."""
    parent_path, _, name = path.rpartition(".")
    parent = attrgetter(parent_path)(anatomy.model) if parent_path else anatomy.model
    own = getattr(parent, name)
    setattr(parent, name, module)
    try:
        yield
    finally:
        setattr(parent, name, own)
