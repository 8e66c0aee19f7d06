"""The real modules, run with patterns, norm scales and MLP outputs held: an independent replay for the `direct` check.

Nothing of the engine's linear replay is used: the Hugging Face model runs forward, hooks replace what is held.
"""

import torch
from torch import Tensor

from tracer.features.points import Skip
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record


@torch.no_grad()
def run_frozen(
    anatomy: Anatomy,
    record: Record,
    written: dict[int, Tensor],
    embedded: Tensor | None = None,
    skips: dict[int, Skip] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Add `written[l]` (T, D) to what the MLP of layer l writes, and `embedded` (T, D) to the embeddings.

    `skips`: linear skips of a layer, which follow their input. Returns the logits of the last position before any
    softcap, and the stream before each layer's MLP and its norm (T, D).
    """
    handles, streams, raw = [], {}, {}
    skips = skips or {}

    def hold(module, value):
        handles.append(module.register_forward_hook(lambda _m, i, o: value(i, o)))

    for index, layer in enumerate(anatomy.layers):
        hold(layer.ln1, lambda i, _o, at=index, norm=layer.ln1: _held_norm(anatomy, norm, i[0], record.ln1[at]))
        hold(layer.ln2, lambda i, _o, at=index, norm=layer.ln2: _held_norm(anatomy, norm, i[0], record.ln2[at]))
        hold(layer.attention, lambda i, o, at=index: _held_attention(anatomy, record, at, o))
        handles.append(layer.attention.register_forward_pre_hook(_keep_input(record, index), with_kwargs=True))
        if layer.post_attention_norm is not None:
            hold(layer.post_attention_norm, lambda i, _o, at=index: i[0] * record.post_attention[at])
        last = layer.post_mlp_norm or layer.mlp
        delta = written.get(index, torch.zeros(()))

        def mlp(_i, _o, at=index, delta=delta):
            follows = _moved(skips[at], streams[at], record.mlp_stream[at]) if at in skips else 0
            return (record.mlp_output[at] + delta + follows)[None]

        hold(last, mlp)
        handles.append(layer.ln2.register_forward_pre_hook(lambda _m, i, at=index: streams.__setitem__(at, i[0][0])))
    hold(anatomy.final_norm, lambda i, _o: _held_norm(anatomy, anatomy.final_norm, i[0], record.final_gain))
    hold(anatomy.unembed, lambda _i, o: raw.__setitem__("logits", o[0, -1]))
    if embedded is not None:
        hold(anatomy.embed, lambda _i, o: o + embedded)
    try:
        anatomy.model(torch.tensor([record.token_ids], device=anatomy.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return raw["logits"], [streams[i] for i in range(len(anatomy.layers))]


_attended: dict[int, Tensor] = {}


def _keep_input(record: Record, index: int):
    def hook(_module, args, kwargs):
        _attended[index] = (args[0] if args else kwargs["hidden_states"])[0]

    return hook


def _held_attention(anatomy: Anatomy, record: Record, index: int, output: tuple) -> tuple:
    """The module's own projections, with the recorded pattern instead of a new one."""
    layer, attention = anatomy.layers[index], anatomy.layers[index].attention
    n = len(record.token_ids)
    if layer.family.fused_values:
        values = attention.c_attn(_attended[index])[:, -layer.n_kv_heads * layer.head_dim :]
    else:
        values = attention.v_proj(_attended[index])
    values = values.view(n, layer.n_kv_heads, layer.head_dim)
    values = values.repeat_interleave(layer.n_heads // layer.n_kv_heads, dim=1)
    mixed = torch.einsum("hqk,khd->qhd", record.patterns[index], values).reshape(n, -1)
    project = attention.c_proj if layer.family.fused_values else attention.o_proj
    return project(mixed)[None], output[1]


def _held_norm(anatomy: Anatomy, norm: torch.nn.Module, x: Tensor, gain: Tensor) -> Tensor:
    held = (x - x.mean(-1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else x) * gain
    return held + norm.bias if isinstance(norm, torch.nn.LayerNorm) else held


def _moved(skip: Skip, stream: Tensor, before: Tensor) -> Tensor:
    return skip.forward(stream, slice(None)) - skip.forward(before, slice(None))
