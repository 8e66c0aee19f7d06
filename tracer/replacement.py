"""ReplacementModel: a model and a feature basis, the public door of the engine.

Holds the one copy of the weights. Safe to call from several threads: forward passes take turns, everything else only
reads.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from tracer.attribution.selection import greedy, largest, most_influential, n_candidates, total_attribution
from tracer.attribution.settings import Clock, check_settings, cut
from tracer.attribution.sweep import Sweep
from tracer.attribution.targets import Difference, LogitTarget, Targets, Unembedding, resolve
from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import Basis, FeatureSet
from tracer.graph.file import Target
from tracer.graph.graph import Graph
from tracer.model.anatomy import Anatomy
from tracer.model.prefix import PLAIN, Prefix
from tracer.model.record import Record, record_forward
from tracer.steering.edits import Edit, Push, place
from tracer.steering.generate import GREEDY, Sampling, Token, generate
from tracer.steering.protocols import choose
from tracer.steering.run import run_many
from tracer.steering.sites import Place
from tracer.steering.steered import Steered

ENGINE_VERSION = "2"
"""Part of every cache key: raised when the same request would give another graph."""

ROW_ERROR_LIMIT = 1e-4


@dataclass(frozen=True)
class TokenProbability:
    id: int
    token: str
    probability: float


class ReplacementModel:
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
        direction = self.anatomy.centred(self.basis.output_direction(layer, feature))
        direction = direction * self.anatomy.norm_weight(self.anatomy.final_norm)
        weight = self._unembedding.weight  # as loaded: a pass may have raised the module's own for a moment
        effect = (weight @ direction.to(weight.dtype)).float() - self._unembedding.mean_row @ direction
        self.anatomy.release()
        top, bottom = torch.topk(effect, n), torch.topk(-effect, n)
        return (
            [(self.token_text(i), v) for i, v in zip(top.indices.tolist(), top.values.tolist(), strict=True)],
            [(self.token_text(i), -v) for i, v in zip(bottom.indices.tolist(), bottom.values.tolist(), strict=True)],
        )

    # Steering

    def steer(
        self,
        prompt: str | None = None,
        edits: Iterable[Edit] = (),
        *,
        tokens: Sequence[int] | None = None,
        protocol: str = "clamp",
        layers: tuple[int, int] | None = None,
    ) -> Steered:
        """The next token's logits with features set to values, and without.

        Give `prompt` or `tokens`. `protocol`: what is held as it was without edits; "direct": attention patterns, norm
        scales and MLP outputs; "constrained": patterns, and MLP outputs of `layers` (a, b), b not included; "clamp":
        patterns; "free": nothing (DESIGN §4). Raises TracerError with one line that says what to do.
        """
        (steered,) = self.steer_many(prompt, [list(edits)], tokens=tokens, protocol=protocol, layers=layers)
        return steered

    def steer_many(
        self,
        prompt: str | None = None,
        conditions: Sequence[Sequence[Edit | Push]] = (),
        *,
        tokens: Sequence[int] | None = None,
        protocol: str = "clamp",
        layers: tuple[int, int] | None = None,
        watch: Sequence[Place] = (),
        progress: Progress = silent,
    ) -> Iterator[Steered]:
        """As `steer`, for many sets of edits of one prompt: side by side, in their order, each as soon as it is known.

        What no edit changes is computed once. `watch`: features (layer, position, feature) whose activations each run
        tells, at positions of the prompt. Holds the model until the last one is taken or the iterator is closed.
        """
        ids = self._ids(prompt, tokens)
        chosen = choose(protocol, layers, self.n_layers)
        resolved = self.without_donors(conditions)
        with self.anatomy.lock:
            yield from run_many(
                self.anatomy, self.basis, ids, self.excluded_positions(ids), resolved, chosen, watch, progress
            )

    def without_donors(self, conditions: Sequence[Sequence[Edit | Push]]) -> list[list[Edit | Push]]:
        """Edits that take an activation from another prompt, as values."""
        records: dict[tuple[int, ...], Record] = {}

        def resolved(edit: Edit | Push) -> Edit | Push:
            if isinstance(edit, Push) or edit.donor is None:
                return edit
            ids = edit.donor.tokens
            place([edit.at_donor], len(ids), self.n_layers, self.basis.n_features)  # refuses what is not there
            if ids not in records:
                records[ids] = self.record(ids)
            at = edit.donor.position % len(ids)
            silent_there = self.basis.zero_at_excluded and at in self.excluded_positions(ids)
            own = 0.0 if silent_there else float(self.activations(records[ids], edit.layer, edit.feature)[at])
            return replace(edit, value=(edit.factor or 0.0) * own, factor=None, donor=None)

        return [[resolved(edit) for edit in edits] for edits in conditions]

    @property
    def stop_tokens(self) -> set[int]:
        """Tokens that end a text."""
        named = getattr(self.anatomy.model.generation_config, "eos_token_id", None)
        own = self.tokenizer.eos_token_id
        return {*(named if isinstance(named, list) else [named]), own} - {None}

    def generate(
        self,
        prompt: str | None = None,
        conditions: Sequence[Sequence[Edit | Push]] = ((),),
        *,
        tokens: Sequence[int] | None = None,
        protocol: str = "clamp",
        layers: tuple[int, int] | None = None,
        n_tokens: int = 20,
        sampling: Sampling = GREEDY,
        progress: Progress = silent,
    ) -> Iterator[Token]:
        """Continue a prompt under each set of edits, side by side, token by token as they come; () is the plain model.

        On the prompt, edits act under the protocol; edits at open-ended positions or GENERATED act on generated tokens
        too, where nothing is held. Ends at a stop token. Holds the model until the last one is taken.
        """
        ids = self._ids(prompt, tokens)
        chosen = choose(protocol, layers, self.n_layers)
        resolved = self.without_donors(conditions)
        with self.anatomy.lock:
            yield from generate(
                self.anatomy,
                self.basis,
                ids,
                self.excluded_positions(ids),
                resolved,
                chosen,
                n_tokens,
                sorted(self.stop_tokens),
                sampling,
                progress=progress,
            )

    # Tracing

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
