"""What a graph explains: the logits at the last position, each less the mean logit, before any softcap.

A target is a direction at the output of the final norm: an unembedding row less the mean row, so that the row of the
graph sums to the demeaned logit (circuit-tracer's definition, study/circuit-tracer.md §1.6). Knows nothing of graphs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracer.errors import TracerError


@dataclass(frozen=True)
class Difference:
    """The logit of token `a` minus that of token `b`: ids, or strings of one token."""

    a: int | str
    b: int | str


Targets = None | Difference | Sequence[int | str]


@dataclass
class LogitTarget:
    token: str  # "a − b" for a difference
    id: int | None  # None for a difference
    probability: float | None  # None for a difference
    weight: float  # in ranking, influence and scores
    value: float  # what the row sums to
    direction: Tensor  # (D,), at the output of the final norm
    constant: float = 0.0  # what it owes to the biases of final norm and unembedding


@dataclass
class Unembedding:
    """The logits as a function of the final norm's output. `weight` (V, D), `bias` (V,), `norm_bias` (D,)."""

    weight: Tensor
    bias: Tensor | None
    norm_bias: Tensor | None

    def __post_init__(self) -> None:
        self.mean_row = self.weight.mean(0, dtype=torch.float32)
        self.mean_bias = 0.0 if self.bias is None else float(self.bias.float().mean())

    def row(self, id: int) -> tuple[Tensor, float]:
        """(D,) and its bias, float32."""
        return self.weight[id].float(), 0.0 if self.bias is None else float(self.bias[id])

    def constant(self, direction: Tensor, bias: float) -> float:
        return bias if self.norm_bias is None else bias + float(direction @ self.norm_bias)


@torch.no_grad()
def resolve(
    targets: Targets,
    logits: Tensor,
    raw_logits: Tensor,
    unembedding: Unembedding,
    token_id: Callable[[int | str], int],
    token_text: Callable[[int], str],
    max_logits: int,
    logit_mass: float,
) -> list[LogitTarget]:
    """`logits` and `raw_logits` (V,) after and before the softcap.

    None takes the fewest top tokens that reach `logit_mass`, at most `max_logits`, weighted by probability; given
    tokens weigh the same; a difference weighs 1. Raises TracerError for an empty list, and what `token_id` raises.
    """
    probabilities = torch.softmax(logits.double(), dim=-1)
    centred = raw_logits - raw_logits.double().mean().float()

    def one(id: int, weight: float) -> LogitTarget:
        row, bias = unembedding.row(id)
        direction = row - unembedding.mean_row
        constant = unembedding.constant(direction, bias - unembedding.mean_bias)
        return LogitTarget(
            token_text(id), id, float(probabilities[id]), weight, float(centred[id]), direction, constant
        )

    if targets is None:
        top = torch.topk(probabilities, min(max_logits, len(probabilities)))
        reached = int(torch.searchsorted(top.values.cumsum(0), logit_mass)) + 1
        return [one(int(i), float(p)) for p, i in list(zip(top.values, top.indices, strict=True))[:reached]]
    if isinstance(targets, Difference):
        a, b = token_id(targets.a), token_id(targets.b)
        if a == b:
            raise TracerError("the two tokens of a difference are the same; give two different tokens")
        (row_a, bias_a), (row_b, bias_b) = unembedding.row(a), unembedding.row(b)
        constant = unembedding.constant(row_a - row_b, bias_a - bias_b)
        name, value = f"{token_text(a)} − {token_text(b)}", float(raw_logits[a] - raw_logits[b])
        return [LogitTarget(name, None, None, 1.0, value, row_a - row_b, constant)]
    ids = list(dict.fromkeys(token_id(t) for t in targets))
    if not ids:
        raise TracerError("no target token given; give at least one, or none at all for the most likely ones")
    return [one(id, 1 / len(ids)) for id in ids]
