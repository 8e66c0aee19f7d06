"""What a run with edits gave, beside the run without: the figures of one condition."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tracer.steering.edits import Applied


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
    watched: Tensor = field(default_factory=lambda: torch.empty(0))  # (k,): activations of the features asked for
    watched_baseline: Tensor = field(default_factory=lambda: torch.empty(0))

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

    def ranks(self, id: int) -> tuple[int, int]:
        """A token's place among all, 1 for the most likely, without edits and with them."""
        before, after = (int((logits > logits[id]).sum()) + 1 for logits in (self.baseline, self.logits))
        return before, after

    def top(self, n: int = 10) -> list[int]:
        """Ids of the n most likely tokens without edits, then of those that are among the n only with them."""
        runs = [logits.topk(min(n, len(logits))).indices.tolist() for logits in (self.baseline, self.logits)]
        return list(dict.fromkeys(runs[0] + runs[1]))

    def tensors(self) -> dict[str, Tensor]:
        """The logits, by the names they have here: what is saved of a run. Copies: files hold no shared memory."""
        return {name: getattr(self, name).clone() for name in ("logits", "baseline", "raw_logits", "raw_baseline")}
