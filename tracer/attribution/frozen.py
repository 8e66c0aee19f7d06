"""Attention with patterns and norm scales held: a linear map, applied transposed.

The gradients of targets at position P live at positions ≤ P, and are kept as (D, positions first…P, targets): then each
step is one large matrix product, and nothing is copied between them. Where position 0 is excluded, `first` is 1:
position 0 attends to itself alone, so what is written there enters other positions only through the streams of
`FirstPosition`, and no gradient need go back through it.
"""

import torch
from torch import Tensor

from tracer.attribution.sources import Sources
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record


class FrozenAttention:
    """One layer's attention for one record. G KV heads, J heads of each, size d, H = G·J.

    A norm's gain is a scale for each position times a weight for each dimension: weights are part of the matrices,
    scales of the pattern.
    """

    def __init__(self, anatomy: Anatomy, record: Record, layer: int) -> None:
        parts = anatomy.layers[layer]
        self.n_kv, self.head_dim = parts.n_kv_heads, parts.head_dim
        w_o, w_v = parts.output.weight.float(), parts.value.weight.float()  # (D, H·d), (G·d, D)
        pattern = record.patterns[layer].float()  # (H, queries, keys)
        scale_in, weight_in = scale_and_weight(record.ln1[layer])
        self.gain_out = record.post_attention[layer]
        if self.gain_out is not None:
            scale_out, weight_out = scale_and_weight(self.gain_out)
            w_o, pattern = w_o * weight_out[:, None], pattern * scale_out[:, None]
        # W_Oᵀ (G·d·J, D) by KV head, dimension, head of the group; W_Vᵀ (D, G·d); pattern (G, keys, J, queries)
        self.to_heads = w_o.T.view(self.n_kv, -1, self.head_dim, anatomy.d_model).transpose(1, 2).flatten(0, 2)
        self.to_stream = anatomy.centred(w_v * weight_in).T.contiguous()
        self.mix = (pattern * scale_in).unflatten(0, (self.n_kv, -1)).permute(0, 3, 1, 2).contiguous()
        self.constant = anatomy.attention_constant(parts)  # (D,) or None

    def transpose(self, gradient: Tensor, first: int) -> Tensor:
        """Add to gradients (D, P+1−first, n) after this attention what passes it, in place.

        Returns the gradient at the values of position 0, (G·d, n), norm weight left out: if `first` is 0 it has passed
        already.
        """
        d_model, width, n = gradient.shape
        last = first + width
        flat = gradient.view(d_model, width * n)
        heads = (self.to_heads @ flat).view(self.n_kv, self.head_dim, -1, n)  # (G, d, J·queries, n)
        mix = self.mix[:, :last, :, first:last].reshape(self.n_kv, 1, last, -1).expand(-1, self.head_dim, -1, -1)
        values = heads.new_empty(self.n_kv, self.head_dim, last, n)
        for group in range(self.n_kv):
            torch.bmm(mix[group], heads[group], out=values[group])
        values = values.view(self.n_kv * self.head_dim, last * n)  # keys 0…P
        flat.addmm_(self.to_stream, values[:, first * n :])
        return values[:, :n]

    def written_constant(self, positions: slice) -> Tensor | None:
        """(positions, D): what this attention writes to the stream whatever it reads; None if nothing."""
        if self.constant is None:
            return None
        if self.gain_out is None:
            return self.constant.expand(positions.stop - positions.start, -1)
        return self.constant * self.gain_out[positions]

    def forward_at_first(self, streams: Tensor) -> tuple[Tensor, Tensor]:
        """What streams (s, D) at position 0 offer to `transpose`, (s, G·d), and the attention's output there (s, D)."""
        offered = streams @ self.to_stream
        heads = offered.view(-1, self.n_kv, self.head_dim, 1) * self.mix[:, 0, :, 0].unsqueeze(1)
        return offered, heads.flatten(1) @ self.to_heads


def scale_and_weight(gain: Tensor) -> tuple[Tensor, Tensor]:
    """A norm's gain (T, D) = scale (T, 1) · weight (D,), up to a factor between the two."""
    weight = gain[-1]
    return gain @ weight / (weight @ weight), weight


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
