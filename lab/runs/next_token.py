"""What a model says next, as figures of a target and a competitor. `logits` (V,): of the prompt's last position."""

import torch
from torch import Tensor


def logit_difference(logits: Tensor, target: int, competitor: int) -> float:
    """Nats."""
    return float(logits[target].double() - logits[competitor].double())


def probability(logits: Tensor, target: int) -> float:
    return float(torch.log_softmax(logits.double(), dim=-1)[target].exp())


def rank(logits: Tensor, target: int) -> int:
    """1 for the likeliest."""
    return 1 + int((logits > logits[target]).sum())
