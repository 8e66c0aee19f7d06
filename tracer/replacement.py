"""ReplacementModel: a model and a feature basis, the public door of the engine. Its methods that steer: `Steering`.

Holds the one copy of the weights. Safe to call from several threads: forward passes take turns, everything else only
reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from tracer.attribution.selection import greedy, largest, most_influential, n_candidates, total_attribution
from tracer.attribution.settings import Clock, check_products, check_settings, cut
from tracer.attribution.sweep import Sweep
from tracer.attribution.targets import Difference, LogitTarget, Targets, Unembedding, resolve
from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import Basis, FeatureSet
from tracer.graph.file import Target
from tracer.graph.graph import Graph
from tracer.memory import in_memory
from tracer.model.anatomy import Anatomy
from tracer.model.prefix import PLAIN, Prefix
from tracer.model.record import Record, record_forward
from tracer.steering.door import Steering

ENGINE_VERSION = "2"
"""Part of every cache key: raised when the same request would give another graph."""

ROW_ERROR_LIMIT = 1e-4


@dataclass(frozen=True)
class TokenProbability:
    id: int
    token: str
    probability: float


class ReplacementModel(Steering):
    def __init__(
        self,
        anatomy: Anatomy,
        basis: Basis,
        tokenizer: Any,
        name: str,
        model_fingerprint: str,
        prefix: Prefix = PLAIN,
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.anatomy, self.basis, self.prefix = anatomy, basis, prefix
        self.model_fingerprint = model_fingerprint
        # which positions have no features changes a graph like the features themselves
        self.basis_fingerprint = "-".join([basis.fingerprint, *map(str, prefix.chat)])
        self.n_layers = len(self.anatomy.layers)
        self.vocab_size = self.anatomy.vocab_size
        bias = getattr(anatomy.unembed, "bias", None)
        self._unembedding = Unembedding(
            anatomy.unembed.weight.detach(),
            None if bias is None else bias.detach(),
            anatomy.norm_bias(anatomy.final_norm),
        )
        anatomy.release()

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self.anatomy.device

    @property
    def dtype(self) -> torch.dtype:
        return self.anatomy.unembed.weight.dtype

    # Tokens

    def token_ids(self, prompt: str) -> list[int]:
        """As the model's tokenizer does it, and the preset's prefix rule. Raises TracerError if that fails."""
        if not prompt:
            raise TracerError("the prompt is empty; type some text")
        try:
            return self.prefix.ids(self.tokenizer, prompt)
        except (TypeError, UnicodeError) as problem:
            raise TracerError("the prompt holds characters that are no Unicode text; type them anew") from problem

    def token_text(self, id: int) -> str:
        return self.tokenizer.decode([id])

    def token_id(self, token: int | str) -> int:
        """An id, or a string that is exactly one token. Raises TracerError for anything else."""
        if isinstance(token, int):
            self._check_ids([token])
            return token
        ids = self.tokenizer(token, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            pieces = " + ".join(repr(self.token_text(i)) for i in ids) or "nothing"
            raise TracerError(
                f"{token!r} is {len(ids)} tokens ({pieces}); give a string of exactly one token, or an id"
            )
        return ids[0]

    def prompt_text(self, token_ids: Sequence[int]) -> str:
        """A text that gives these tokens, without what the tokenizer adds by itself where it can be left out."""
        ids = list(token_ids)
        for start in (len(self.excluded_positions(ids)), 0):
            text = self.tokenizer.decode(ids[start:])
            if text and self.token_ids(text) == ids:
                return text
        return self.tokenizer.decode(ids)

    def _target_texts(self, targets: Targets) -> list[str] | dict[str, str] | None:
        """Chosen targets as JSON: None, token texts, or the two of a difference."""
        if targets is None:
            return None
        if isinstance(targets, Difference):
            return {side: self.token_text(self.token_id(getattr(targets, side))) for side in ("a", "b")}
        return [self.token_text(self.token_id(t)) for t in targets]

    @property
    def has_chat_template(self) -> bool:
        return bool(getattr(self.tokenizer, "chat_template", None))

    def chat_ids(self, message: str) -> list[int]:
        """One user message in the model's chat template, up to where the answer starts."""
        messages = [{"role": "user", "content": message}]
        return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]

    def excluded_positions(self, token_ids: Sequence[int]) -> list[int]:
        """Position 0 when it is a special token, or a preset's longer prefix: nothing there counts as a feature."""
        return self.prefix.excluded(self.tokenizer, token_ids)

    # Forward passes

    @in_memory
    def record(self, token_ids: Sequence[int], progress: Progress = silent) -> Record:
        self._check_ids(token_ids)
        with self.anatomy.lock:
            return record_forward(
                self.anatomy, list(token_ids), lambda layer: progress("record", (layer + 1) / self.n_layers)
            )

    def next_tokens(self, token_ids: Sequence[int], n: int = 10) -> list[TokenProbability]:
        """The n most likely next tokens."""
        probabilities = torch.softmax(self.record(token_ids).logits.double(), dim=-1)
        top = torch.topk(probabilities, min(n, self.vocab_size))
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return [TokenProbability(id, self.token_text(id), p) for id, p in pairs]

    def activations(self, record: Record, layer: int, feature: int) -> Tensor:
        """(T,) of one feature at each token of a recorded prompt, CPU."""
        return self.basis.activations(record, layer, feature).cpu()

    @torch.no_grad()
    def says(self, layer: int, feature: int, n: int = 8) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """The n tokens that a feature raises most and lowers most: its write vector through final norm weight and
        unembedding.

        Values: logit less the mean logit, a unit of activation, norm scales left out.
        """
        direction = self._said_by(layer, feature)
        weight = self._unembedding.weight  # as loaded: a pass may have raised the module's own for a moment
        effect = (weight @ direction.to(weight.dtype)).float() - self._unembedding.mean_row @ direction
        self.anatomy.release()
        top, bottom = torch.topk(effect, n), torch.topk(-effect, n)
        return (
            [(self.token_text(i), v) for i, v in zip(top.indices.tolist(), top.values.tolist(), strict=True)],
            [(self.token_text(i), -v) for i, v in zip(bottom.indices.tolist(), bottom.values.tolist(), strict=True)],
        )

    @torch.no_grad()
    def push(self, layer: int, feature: int, token: int) -> float:
        """What `says` has of one token: its logit less the mean logit, a unit of activation, norm scales left out."""
        row = self._unembedding.weight[token].float() - self._unembedding.mean_row
        return float(row @ self._said_by(layer, feature))

    def _said_by(self, layer: int, feature: int) -> Tensor:
        """(D,): the write vector as the unembedding reads it, norm scales left out."""
        direction = self.anatomy.centred(self.basis.output_direction(layer, feature))
        return direction * self.anatomy.norm_weight(self.anatomy.final_norm)

    # Tracing

    @in_memory
    def trace(
        self,
        prompt: str | None = None,
        *,
        tokens: Sequence[int] | None = None,
        targets: Targets = None,
        position: int | None = None,
        max_logits: int = 10,
        logit_mass: float = 0.95,
        max_nodes: int | str | None = "auto",
        rerank_every: int = 1024,
        progress: Progress = silent,
    ) -> Graph:
        """Trace the attribution graph of one prompt.

        Give `prompt` or `tokens`. `position` P traces the prediction after token P: the prompt cut there; negative
        counts from the end. `max_nodes`: "auto" (neurons 2,000, transcoders 7,500), a number, or None for every active
        feature. `rerank_every`: size of a round in the selection of transcoder features. Raises TracerError with one
        line that says what to do, and whatever `progress` raises.
        """
        ids = self._ids(prompt, tokens)
        ids = ids[: cut(position, len(ids))]
        check_settings(max_logits, logit_mass, max_nodes)
        check_products(self.device)
        clock = Clock()
        record = self.record(ids, progress)
        clock.lap("record")
        excluded = self.excluded_positions(ids)
        with torch.no_grad():
            encoding = self.basis.encode(record, excluded, progress)
        found = self.resolve_targets(record, targets, max_logits, logit_mass)
        if max_nodes is None:
            wanted = encoding.n_active
        else:
            wanted = self.basis.default_nodes if max_nodes == "auto" else int(max_nodes)
        greedily = not self.basis.selects_by_attribution
        columns = encoding.n_active if greedily or max_nodes is None else n_candidates(wanted)
        self._check_memory(min(wanted, columns), columns, len(ids))
        weights = np.array([t.weight for t in found])

        def prepare(features: FeatureSet) -> Sweep:
            clock.lap("select")
            return Sweep(self.anatomy, record, encoding, features, found, excluded)

        if greedily:
            selected = greedy(prepare(encoding.active()), weights, wanted, rerank_every, progress)
        elif max_nodes is None:
            selected = most_influential(prepare(encoding.active()), weights, wanted, progress)
        else:
            scores = total_attribution(self.anatomy, record, encoding, found, progress)
            selected = most_influential(prepare(largest(scores, n_candidates(wanted))), weights, wanted, progress)
        clock.lap("sweep")
        return Graph(
            layout=selected.layout,
            activation=encoding.activation(selected.features).float().cpu().numpy(),
            targets=[_plain(t) for t in found],
            adjacency=selected.adjacency,
            dropped=selected.dropped,
            token_ids=ids,
            meta={
                "prompt": self.prompt_text(ids),
                "tokens": [self.token_text(i) for i in ids],
                "model": self.name,
                "features": self.basis.name,
                "model_fingerprint": self.model_fingerprint,
                "basis_fingerprint": self.basis_fingerprint,
                "engine": ENGINE_VERSION,
                "device": str(self.device),
                "dtype": str(self.dtype).removeprefix("torch."),
                "settings": {
                    "max_logits": max_logits,
                    "logit_mass": logit_mass,
                    "max_nodes": max_nodes,
                    "rerank_every": rerank_every,
                    "targets": self._target_texts(targets),
                },
                "excluded": excluded,
                "explains": [t.token for t in found],
                "n_active": encoding.n_active,
                "sweep_operations": selected.operations,
                "seconds": clock.seconds,
            },
        )

    def resolve_targets(
        self, record: Record, targets: Targets, max_logits: int = 10, logit_mass: float = 0.95
    ) -> list[LogitTarget]:
        """The logits that a graph of this record explains."""
        return resolve(
            targets,
            record.logits,
            record.raw_logits,
            self._unembedding,
            self.token_id,
            self.token_text,
            max_logits,
            logit_mass,
        )

    def self_check(self, progress: Progress = silent) -> None:
        """Trace a short fixed prompt; raises TracerError naming the layer if its rows don't sum to their targets."""
        ids = [i % self.vocab_size for i in self.token_ids("The cat sat on the")][:8]
        graph = self.trace(tokens=ids, max_nodes=50, max_logits=3, progress=lambda _p, f: progress("self-check", f))
        if not graph.row_error <= ROW_ERROR_LIMIT:
            failing = ~(graph.row_errors <= ROW_ERROR_LIMIT)
            layer = int(graph.layout.node_layer[failing].min())  # those above inherit its fault
            where = "the logits" if layer == self.n_layers else f"layer {layer}"
            raise TracerError(
                f"{self.name}: attribution rows at {where} miss their targets by {graph.row_error:.1e} of their mass"
                f" (at most {ROW_ERROR_LIMIT:.0e}): this model computes something that the engine does not replay"
            )

    def _ids(self, prompt: str | None, tokens: Sequence[int] | None) -> list[int]:
        if (prompt is None) == (tokens is None):
            raise TracerError("give a prompt or token ids, one of the two")
        ids = list(tokens) if tokens is not None else self.token_ids(prompt or "")
        self._check_ids(ids)
        return ids

    def _check_ids(self, ids: Sequence[int]) -> None:
        if not len(ids):
            raise TracerError("the prompt is empty; give at least one token")
        wrong = [i for i in ids if not 0 <= i < self.vocab_size]
        if wrong:
            raise TracerError(f"token id {wrong[0]} is not in the vocabulary; ids go from 0 to {self.vocab_size - 1}")

    def _check_memory(self, rows: int, columns: int, n_tokens: int) -> None:
        """Half of the pairs are causal; an edge takes 8 bytes, and 28 more while influence is taken of a copy."""
        need = 36 * rows * (columns + (self.n_layers + 1) * n_tokens) / 2
        free = psutil.virtual_memory().available
        if need > 0.8 * free:
            raise TracerError(
                f"{rows:,} nodes among {columns:,} active features would take about {need / 1e9:.0f} GB and"
                f" {free / 1e9:.0f} GB are free; give --max-nodes a smaller number, or shorten the prompt"
            )


def _plain(target: LogitTarget) -> Target:
    return Target(target.token, target.id, target.probability, target.weight, target.value)
