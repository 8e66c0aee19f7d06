"""Steering: what a replacement model can do with edits. ReplacementModel inherits it and supplies the rest."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from torch import Tensor

from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import Basis
from tracer.memory import in_memory
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record
from tracer.steering.edits import Edit, Push, place
from tracer.steering.generate import GREEDY, Sampling, Token, generate
from tracer.steering.protocols import choose
from tracer.steering.run import run_many
from tracer.steering.score import score
from tracer.steering.sites import Place
from tracer.steering.steered import Steered

LADDER = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)


class Steering(ABC):
    anatomy: Anatomy
    basis: Basis
    tokenizer: Any
    n_layers: int

    @abstractmethod
    def _ids(self, prompt: str | None, tokens: Sequence[int] | None) -> list[int]: ...

    @abstractmethod
    def excluded_positions(self, token_ids: Sequence[int]) -> list[int]: ...

    @abstractmethod
    def record(self, token_ids: Sequence[int], progress: Progress = silent) -> Record: ...

    @abstractmethod
    def activations(self, record: Record, layer: int, feature: int) -> Tensor: ...

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

    @in_memory
    def steer_many(
        self,
        prompt: str | None = None,
        conditions: Sequence[Sequence[Edit | Push]] = (),
        *,
        tokens: Sequence[int] | None = None,
        protocol: str = "clamp",
        layers: tuple[int, int] | None = None,
        watch: Sequence[Place] = (),
        generating: bool = False,
        progress: Progress = silent,
    ) -> Generator[Steered, None, None]:
        """As `steer`, for many sets of edits of one prompt: side by side, in their order, as batches end.

        What no edit changes is computed once. `watch`: features (layer, position, feature) whose activations each run
        tells, at positions of the prompt. `generating`: edits that begin after the prompt are left out, where else they
        are refused. The model is free in between.
        """
        ids = self._ids(prompt, tokens)
        chosen = choose(protocol, layers, self.n_layers)
        resolved = self.without_donors(conditions)
        excluded = self.excluded_positions(ids)
        yield from run_many(self.anatomy, self.basis, ids, excluded, resolved, chosen, watch, generating, progress)

    def sweep(
        self,
        prompt: str | None = None,
        edits: Iterable[Edit] = (),
        factors: Sequence[float] = LADDER,
        *,
        tokens: Sequence[int] | None = None,
        protocol: str = "clamp",
        layers: tuple[int, int] | None = None,
        progress: Progress = silent,
    ) -> Generator[tuple[float, Steered], None, None]:
        """Dose and response: the same features set to each factor × activation, side by side, in the ladder's order.

        Only where an edit acts is taken from it: its own `value`, `factor` or `plus` gives way to the ladder's factor
        (0 silences the feature, 1 changes nothing); with a `donor`, the activation is the donor's. A feature that is
        silent where it is edited stays so at every factor.
        """
        if not len(factors):
            raise TracerError("the ladder has no factor; give at least one")
        edits = list(edits)
        rungs = [[replace(edit, value=None, plus=None, factor=f) for edit in edits] for f in factors]
        runs = self.steer_many(prompt, rungs, tokens=tokens, protocol=protocol, layers=layers, progress=progress)
        with closing(runs):
            yield from zip(factors, runs, strict=True)

    def without_donors(self, conditions: Sequence[Sequence[Edit | Push]]) -> list[list[Edit | Push]]:
        """Edits that take an activation from another prompt, as values."""
        records: dict[tuple[int, ...], Record] = {}

        def resolved(edit: Edit | Push) -> Edit | Push:
            if isinstance(edit, Push) or edit.donor is None:
                return edit
            ids, at = edit.donor.tokens, edit.donor.position
            if ids and isinstance(at, int) and not -len(ids) <= at < len(ids):
                raise TracerError(
                    f"position {at} is outside the other prompt, whose {len(ids)} tokens are 0 to {len(ids) - 1};"
                    " take the activation at one of those"
                )
            if ids not in records:
                records[ids] = self.record(ids)  # refuses an empty prompt
            place([edit.at_donor], len(ids), self.n_layers, self.basis.n_features)  # and this what is not there
            at %= len(ids)
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

    def continuation(self, token_ids: Sequence[int], generated: Sequence[int]) -> str:
        """The text that these tokens add to a prompt's, without a stop token at the end."""
        ids, new = list(token_ids), list(generated)
        if new and new[-1] in self.stop_tokens:
            new.pop()
        before, whole = self.tokenizer.decode(ids), self.tokenizer.decode(ids + new)
        # decoded by themselves, some tokenizers' first words lose their space
        return whole[len(before) :] if whole.startswith(before) else self.tokenizer.decode(new)

    @in_memory
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
        too, where nothing is held. Ends at a stop token. The model is free in between.
        """
        ids = self._ids(prompt, tokens)
        chosen = choose(protocol, layers, self.n_layers)
        resolved = self.without_donors(conditions)
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

    @in_memory
    def score(
        self,
        text: Sequence[int],
        prompt: str | None = None,
        edits: Sequence[Edit | Push] = (),
        *,
        tokens: Sequence[int] | None = None,
        protocol: str = "clamp",
        layers: tuple[int, int] | None = None,
        progress: Progress = silent,
    ) -> Tensor:
        """(n, V): log-probabilities of all tokens at each place of `text` (n ids) after a prompt under edits.

        Teacher-forced: what `generate` would have had at each step, had it said this text.
        """
        ids = self._ids(prompt, tokens)
        self._ids(None, text)
        chosen = choose(protocol, layers, self.n_layers)
        (resolved,) = self.without_donors([edits])
        excluded = self.excluded_positions(ids)
        return score(self.anatomy, self.basis, ids, excluded, resolved, chosen, text, progress)
