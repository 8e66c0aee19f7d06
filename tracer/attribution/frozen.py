"""Attention with patterns and norm scales held: a linear map, applied transposed.

The gradient of a target at position P lives at positions ≤ P, so it is kept as (targets, positions first…P, D). Where
position 0 is excluded, `first` is 1: position 0 attends to itself alone, so what is written there enters other
positions only through the streams of `FirstPosition`, and no gradient need go back through it.
"""

import torch
from torch import Tensor

from tracer.attribution.sources import Sources
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record


class FrozenAttention:
    """One layer's attention for one record. W_O (D, H·d), W_V (G·d, D), pattern (H, T, T); G KV heads, d head size."""

    def __init__(self, anatomy: Anatomy, record: Record, layer: int) -> None:
        parts = anatomy.layers[layer]
        self.n_heads, self.n_kv, self.head_dim = parts.n_heads, parts.n_kv_heads, parts.head_dim
        self.w_o, self.w_v = parts.output.weight.float(), parts.value.weight.float()
        self.pattern = record.patterns[layer].float()
        self.gain_in = record.ln1[layer]
        self.gain_out = record.post_attention[layer]
        self.constant = anatomy.attention_constant(parts)  # (D,) or None
        self.centred = anatomy.centred

    def transpose(self, gradient: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Gradients (n, P+1−first, D) after this attention → those before it, of its own branch alone.

        Returns the gradient at the residual stream, same shape, and at the values of position 0, (n, G·d): what it
        would get if `first` is 0 is part of the former already.
        """
        n, width, _ = gradient.shape
        last = first + width
        if self.gain_out is not None:
            gradient = gradient * self.gain_out[first:last]
        per_head = (gradient.reshape(n * width, -1) @ self.w_o).view(n, width, self.n_kv, -1, self.head_dim)
        # mix[kv, key, (query, head of the group)]: the pattern transposed, keys 0…P
        mix = self.pattern[:, first:last, :last].reshape(self.n_kv, -1, width, last)
        mix = mix.permute(0, 3, 2, 1).reshape(self.n_kv, last, -1)
        queries = per_head.permute(2, 0, 1, 3, 4).reshape(self.n_kv, n, -1, self.head_dim)
        values = torch.matmul(mix[:, None], queries)  # (G, n, keys, d)
        values = values.permute(1, 2, 0, 3).reshape(n, last, -1)
        before = (values[:, first:].reshape(n * width, -1) @ self.w_v).view(n, width, -1)
        return self.centred(before.mul_(self.gain_in[first:last])), values[:, 0]

    def written_constant(self, positions: slice) -> Tensor | None:
        """(positions, D): what this attention writes to the stream whatever it reads; None if nothing."""
        if self.constant is None:
            return None
        if self.gain_out is None:
            return self.constant.expand(positions.stop - positions.start, -1)
        return self.constant * self.gain_out[positions]

    def forward_at_first(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """What streams (s, D) at position 0 give: their values (s, G·d), and this attention's output there (s, D)."""
        values = (self.centred(stream) * self.gain_in[0]) @ self.w_v.T
        heads = values.view(-1, self.n_kv, 1, self.head_dim).expand(-1, -1, self.n_heads // self.n_kv, -1)
        heads = heads * self.pattern[:, 0, 0].view(1, self.n_kv, -1, 1)
        out = heads.reshape(len(stream), -1) @ self.w_o.T
        return values, out if self.gain_out is None else out * self.gain_out[0]


class FirstPosition:
    """The separate sources at an excluded position 0, each carried forward once, layer by layer.

    Stream 0 is the token's embedding, stream 1 what its learned position adds, stream 2 + l the constants of layer l.
    `values[l]` (2 + l, G·d) is what the streams present before attention l offer to be attended to.
    """

    def __init__(self, attentions: list[FrozenAttention], record: Record, mlps: list[Sources]) -> None:
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
