"""Run a prompt with features set to values: (value − activation) × write vector is added to what the real MLPs put out.

Two passes of the real model: one without edits, in which activations and what the protocol holds are looked at, one
with them. Nothing is replaced by a reconstruction, so an edit that asks for the activation there is changes nothing, to
the bit. A neuron is edited at the MLP's output too, not at the input of the down projection: it is the same sum, and
protocols that hold MLP outputs leave no other place, so features of every basis go one way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn

from tracer.errors import TracerError
from tracer.features.basis import Basis
from tracer.features.points import output_module, watch_input
from tracer.model.anatomy import Anatomy
from tracer.model.forward import Hooks, hooked, last_logits
from tracer.steering.edits import Applied, Edit, Placed, place
from tracer.steering.protocols import Held, Protocol


@dataclass(frozen=True)
class Steered:
    """The last position with edits and without (`baseline`). Logits (V,), float32, CPU."""

    token_ids: list[int]
    protocol: str
    layers: tuple[int, int] | None  # of `constrained`
    edits: list[Applied]
    logits: Tensor  # as the model gives them, after its softcap
    baseline: Tensor
    raw_logits: Tensor  # before the softcap
    raw_baseline: Tensor

    @property
    def probabilities(self) -> Tensor:
        """(V,), float64."""
        return torch.softmax(self.logits.double(), dim=-1)

    @property
    def baseline_probabilities(self) -> Tensor:
        return torch.softmax(self.baseline.double(), dim=-1)

    @property
    def delta(self) -> Tensor:
        """(V,), float64: change of each logit less the mean logit, before the softcap: what a graph's rows predict."""
        change = self.raw_logits.double() - self.raw_baseline.double()
        return change - change.mean()

    @property
    def kl(self) -> float:
        """KL divergence of the next token's distribution, from without edits to with them: Σ p ln(p/q), in nats."""
        p, q = (torch.log_softmax(x.double(), dim=-1) for x in (self.baseline, self.logits))
        return float((p.exp() * (p - q)).sum())

    def top(self, n: int = 10) -> list[int]:
        """Ids of the n most likely tokens without edits, then of those that are among the n only with them."""
        runs = [logits.topk(min(n, len(logits))).indices.tolist() for logits in (self.baseline, self.logits)]
        return list(dict.fromkeys(runs[0] + runs[1]))

    def tensors(self) -> dict[str, Tensor]:
        """The logits, by the names they have here: what is saved of a run."""
        return {name: getattr(self, name) for name in ("logits", "baseline", "raw_logits", "raw_baseline")}


@torch.no_grad()
def run(
    anatomy: Anatomy,
    basis: Basis,
    token_ids: list[int],
    excluded: list[int],
    edits: Iterable[Edit],
    protocol: Protocol,
) -> Steered:
    """Raises TracerError for edits outside the prompt or the model, and where none of them writes."""
    placed = place(edits, len(token_ids), len(anatomy.layers), basis.n_features)
    sites = [
        Site(basis, layer, list(here), excluded, anatomy.device)
        for layer, here in groupby(placed, key=lambda p: p.layer)
    ]
    if not any(site.written(protocol) for site in sites):
        first, last = protocol.layers[0], protocol.layers[-1]
        raise TracerError(f"no edit writes within layers {first} to {last}, the range held; choose others")
    held = Held(anatomy, basis, protocol)

    def without(hooks: Hooks) -> None:
        held.keep(hooks)
        for site in sites:
            watch_input(hooks, anatomy, anatomy.layers[site.layer], basis.reads_at, site.resolve)

    def with_edits(hooks: Hooks) -> None:
        held.put_back(hooks)
        changes = Changes(len(token_ids), protocol)
        for site in sites:
            if protocol.layers:
                changes.add(site, site.before)
            else:
                watch_input(hooks, anatomy, anatomy.layers[site.layer], basis.reads_at, changes.measured(site))
        for at in {to for site in sites for to in site.written(protocol)}:
            hooks.change(output_module(anatomy.layers[at], basis.writes_at), changes.added(at))

    baseline, raw_baseline = _last(anatomy, token_ids, without)
    logits, raw_logits = _last(anatomy, token_ids, with_edits)
    return Steered(
        token_ids=token_ids,
        protocol=protocol.name,
        layers=(protocol.layers.start, protocol.layers.stop) if protocol.name == "constrained" else None,
        edits=[applied for site in sites for applied in site.applied(protocol)],
        logits=logits,
        baseline=baseline,
        raw_logits=raw_logits,
        raw_baseline=raw_baseline,
    )


def _last(anatomy: Anatomy, token_ids: list[int], prepare: Callable[[Hooks], None]) -> tuple[Tensor, Tensor]:
    """(V,) each: the logits of the last position after and before the softcap, of one pass."""
    raw: list[Tensor] = []
    with hooked(anatomy) as hooks:
        prepare(hooks)
        # a copy: without a softcap the model's logits are this tensor itself
        hooks.look(anatomy.unembed, lambda _m, _i, o: raw.append(o[0, -1].clone().cpu()))
        logits = last_logits(anatomy, token_ids).cpu()
    return logits, raw[0]


class Site:
    """The edits of one layer, k of them, on n features."""

    def __init__(
        self, basis: Basis, layer: int, placed: list[Placed], excluded: list[int], device: torch.device
    ) -> None:
        self.layer, self.placed = layer, placed
        self.position = torch.tensor([p.position for p in placed], device=device)
        features = torch.tensor([p.feature for p in placed], device=device)
        features, self.column = features.unique(return_inverse=True)
        self.read = basis.reader(layer, features)
        self.vectors = basis.write_vectors(layer, features)  # (n, slots, D)
        silent = excluded if basis.zero_at_excluded else []
        self.silent = torch.tensor([p.position in silent for p in placed], device=device)
        self.before = self.value = torch.zeros(len(placed), device=device)

    def activations(self, inputs: Tensor) -> Tensor:
        """(k,) from what is at the read point."""
        return self.read(inputs)[self.position, self.column].masked_fill(self.silent, 0)

    def resolve(self, inputs: Tensor) -> None:
        """Take the activations without edits, and turn factors into values."""
        self.before = self.activations(inputs)
        self.value = self.before.clone()
        for i, edit in enumerate(self.placed):
            if edit.value is not None:
                self.value[i] = edit.value
            else:
                self.value[i] *= edit.factor

    def written(self, protocol: Protocol) -> list[int]:
        """The layers at which these edits write."""
        return [to for to in range(self.layer, self.layer + self.vectors.shape[1]) if protocol.writes(to)]

    def applied(self, protocol: Protocol) -> list[Applied]:
        values, before, writes = self.value.tolist(), self.before.tolist(), tuple(self.written(protocol))
        return [
            Applied(p.layer, p.position, p.feature, v, b, writes)
            for p, v, b in zip(self.placed, values, before, strict=True)
        ]


class Changes:
    """What edits add to the MLP outputs, by layer: (T, D) each."""

    def __init__(self, n_tokens: int, protocol: Protocol) -> None:
        self.n_tokens, self.protocol = n_tokens, protocol
        self.at: dict[int, Tensor] = {}

    def add(self, site: Site, current: Tensor) -> None:
        """`current` (k,): the activations that the values are measured from."""
        for to in site.written(self.protocol):
            vectors = (site.value - current)[:, None] * site.vectors[site.column, to - site.layer]
            if to not in self.at:
                self.at[to] = vectors.new_zeros(self.n_tokens, vectors.shape[1])
            self.at[to].index_add_(0, site.position, vectors)

    def measured(self, site: Site) -> Callable[[Tensor], None]:
        """Of the running pass: takes what is at the read point."""
        return lambda inputs: self.add(site, site.activations(inputs))

    def added(self, to: int) -> Callable[[nn.Module, tuple, Tensor], Tensor]:
        """A hook on the module at whose output features of layer `to` write."""
        return lambda _m, _i, output: output + self.at[to]
