"""Attention with patterns and norm scales held: a linear map, applied transposed.

The gradients of targets at position P live at positions ≤ P, and are kept as (targets, positions first…P, D). Where
position 0 is excluded, `first` is 1: position 0 attends to itself alone, so what is written there enters other
positions only through the streams of `FirstPosition`, and no gradient need go back through it.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from tracer.attribution.sources import Sources
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record

FEW, GPU_FEW = 32, 4096
"""Gradient vectors of fresh targets that are not worth a product of their own."""


class FrozenAttention:
    """One layer's attention for one record. G KV heads, J heads of each, size d, H = G·J.

    A norm's gain is a scale for each position times a weight for each dimension: weights are part of the matrices,
    scales of the pattern.
    """

    def __init__(self, anatomy: Anatomy, record: Record, layer: int) -> None:
        parts = anatomy.layers[layer]
        self.n_kv, self.head_dim = parts.n_kv_heads, parts.head_dim
        w_o, w_v = parts.output.weight, parts.value.weight  # (D, H·d), (G·d, D)
        pattern = record.patterns[layer].float()  # (H, queries, keys)
        scale_in, weight_in = scale_and_weight(record.ln1[layer])
        self.gain_out = record.post_attention[layer]
        if self.gain_out is not None:
            scale_out, weight_out = scale_and_weight(self.gain_out)
            w_o, pattern = w_o * weight_out[:, None], pattern * scale_out[:, None]
        # W_O (D, J·G·d) by head of the group, KV head, dimension; W_V (G·d, D); pattern (G, keys, queries, J)
        by_group = w_o.view(anatomy.d_model, self.n_kv, -1, self.head_dim)
        self.to_heads = by_group.transpose(1, 2).flatten(1).contiguous()
        self.to_stream = anatomy.centred(w_v * weight_in)
        self.mix = (pattern * scale_in).unflatten(0, (self.n_kv, -1)).permute(0, 3, 2, 1).contiguous()
        self.constant = anatomy.attention_constant(parts)  # (D,) or None

    def transpose(self, gradient: Tensor, first: int, fresh: int = 0) -> Tensor:
        """Add to gradients (n, P+1−first, D) after this attention what passes it, in place.

        Those of the last `fresh` targets are still at position P alone. Returns the gradient at the values of position
        0, (n, G·d), norm weight left out: if `first` is 0 it has passed already.
        """
        n, width, d_model = gradient.shape
        last = first + width
        old = n - fresh if fresh * width > (GPU_FEW if gradient.is_cuda else FEW) else n
        values = gradient.new_empty(self.n_kv, n, last, self.head_dim)  # at keys 0…P
        self._at_values(gradient[:old], slice(first, last), values[:, :old])
        self._at_values(gradient[old:, -1:], slice(last - 1, last), values[:, old:])
        passing = values[:, :, first:].permute(1, 2, 0, 3).reshape(n * width, -1)
        gradient.view(n * width, d_model).addmm_(passing, self.to_stream)
        return values[:, :, 0].transpose(0, 1).flatten(1)

    def _at_values(self, gradient: Tensor, queries: slice, values: Tensor) -> None:
        """Gradients (n, queries, D) → at the values (G, n, keys, d) that these queries look at."""
        n, width, d_model = gradient.shape
        if not n:
            return
        heads = (gradient.reshape(n * width, d_model) @ self.to_heads).view(n, -1, self.n_kv, self.head_dim)
        mix = self.mix[:, : values.shape[2], queries].flatten(2)  # (G, keys, queries·J)
        for group in range(self.n_kv):
            torch.bmm(mix[group].expand(n, -1, -1), heads[:, :, group], out=values[group])

    def written_constant(self, positions: slice) -> Tensor | None:
        """(positions, D): what this attention writes to the stream whatever it reads; None if nothing."""
        if self.constant is None:
            return None
        if self.gain_out is None:
            return self.constant.expand(positions.stop - positions.start, -1)
        return self.constant * self.gain_out[positions]

    def forward_at_first(self, streams: Tensor) -> tuple[Tensor, Tensor]:
        """What streams (s, D) at position 0 offer to `transpose`, (s, G·d), and the attention's output there (s, D)."""
        offered = streams @ self.to_stream.T
        heads = offered.view(-1, 1, self.n_kv, self.head_dim) * self.mix[:, 0, 0].T.unsqueeze(-1)
        return offered, heads.flatten(1) @ self.to_heads.T


def frozen_bytes(anatomy: Anatomy) -> int:
    """What the matrices of all layers' `FrozenAttention` take, without the patterns."""
    return sum(4 * (layer.output.stored.numel() + layer.value.stored.numel()) for layer in anatomy.layers)


def scale_and_weight(gain: Tensor) -> tuple[Tensor, Tensor]:
    """A norm's gain (T, D) = scale (T, 1) · weight (D,), up to a factor between the two."""
    weight = gain[-1]
    return gain @ weight / (weight @ weight), weight


class FirstPosition:
    """The separate sources at an excluded position 0, each carried forward once, layer by layer.

    Stream 0 is the token's embedding, stream 1 what its learned position adds, stream 2 + l the constants of layer l.
    `values[l]` (2 + l, G·d) is what the streams present before attention l offer to be attended to.
    """

    def __init__(self, attentions: Iterable[FrozenAttention], record: Record, mlps: list[Sources]) -> None:
        token = record.embedding[0]
        streams = torch.stack([token, torch.zeros_like(token) if record.positions is None else record.positions[0]])
        self.values: list[Tensor] = []
        for attention, mlp in zip(attentions, mlps, strict=True):
            values, out = attention.forward_at_first(streams)
            self.values.append(values)
            written = attention.written_constant(slice(0, 1))
            streams = torch.cat([streams + out, torch.zeros_like(token)[None] if written is None else written])
            if mlp.skip is not None:
                streams = streams + mlp.skip.forward(streams, 0)
            if mlp.constant is not None:
                streams[-1] += mlp.constant[0]
