"""Which transcoder latents are active: ReLU, JumpReLU, TopK (study/circuit-tracer.md §3.6).

An active latent's activation equals its pre-activation under each of the three, so only the choice differs. The encoder
comes in blocks of rows: it is never whole in memory, and TopK, for which latents compete, is merged over the blocks.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def above_threshold(
    inputs: Tensor, blocks: Iterable[tuple[int, Tensor]], bias: Tensor, threshold: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """ReLU (`threshold` None: 0) and JumpReLU (strictly above): positions, features, activations of the active latents.

    `inputs` (T, D); `blocks` of encoder rows (first feature, (n, D)); `bias` and `threshold` (F,). Sorted by position,
    then feature; (n,) each.
    """
    positions, features, values = [], [], []
    for first, rows in blocks:
        span = slice(first, first + len(rows))
        pre = inputs @ rows.to(inputs.device).T + bias[span]
        p, f = (pre > (0 if threshold is None else threshold[span])).nonzero(as_tuple=True)
        positions.append(p)
        features.append(f + first)
        values.append(pre[p, f])
    return _sorted(torch.cat(positions), torch.cat(features), torch.cat(values))


def largest_k(
    inputs: Tensor, blocks: Iterable[tuple[int, Tensor]], bias: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """TopK: at each position the k largest pre-activations, without a ReLU: negative ones survive. As above."""
    best = inputs.new_empty(len(inputs), 0)
    ids = torch.empty(len(inputs), 0, dtype=torch.int64, device=inputs.device)
    for first, rows in blocks:
        pre = inputs @ rows.to(inputs.device).T + bias[first : first + len(rows)]
        here = torch.arange(first, first + len(rows), device=inputs.device).expand(len(inputs), -1)
        best, ids = torch.cat([best, pre], 1), torch.cat([ids, here], 1)
        best, places = torch.topk(best, min(k, best.shape[1]), dim=1)
        ids = ids.gather(1, places)
    position = torch.arange(len(inputs), device=inputs.device)[:, None].expand_as(ids)
    active = best != 0
    return _sorted(position[active], ids[active], best[active])


def _sorted(position: Tensor, feature: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    order = feature.argsort(stable=True)
    order = order[position[order].argsort(stable=True)]
    return position[order], feature[order], value[order]
