"""One ordinary forward pass, with what the linear replay needs: patterns, norm gains, MLP inputs and outputs.

No autograd, eager attention, one prompt at a time. Knows nothing of features.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tracer.model.anatomy import Anatomy


@dataclass
class Record:
    """Float32 throughout.

    A norm gain is weight / rms(x): what a norm multiplies its (where it centres: centred) input by, its scale held.
    """

    token_ids: list[int]
    embedding: Tensor  # (T, D) as the model made it (Gemma's √D included)
    logits: Tensor  # (V,) of the last position, as the model gives them (after its softcap)
    raw_logits: Tensor  # (V,) before the softcap: what the rows of a graph explain
    final_gain: Tensor  # (D,) of the last position
    positions: Tensor | None = None  # (T, D), learned positional embeddings
    patterns: list[Tensor] = field(default_factory=list)  # a layer: (H, T, T), [head, query, key]
    ln1: list[Tensor] = field(default_factory=list)  # a layer: gain (T, D)
    post_attention: list[Tensor | None] = field(default_factory=list)
    ln2: list[Tensor] = field(default_factory=list)
    post_mlp: list[Tensor | None] = field(default_factory=list)
    mlp_stream: list[Tensor] = field(default_factory=list)  # a layer: (T, D), the stream before ln2
    ln2_scale: list[Tensor] = field(default_factory=list)  # a layer: (T, 1), ln2's gain without its weight
    mlp_input: list[Tensor] = field(default_factory=list)  # a layer: (T, D), what the MLP module receives
    mlp_output: list[Tensor] = field(default_factory=list)  # a layer: (T, D), what is added to the residual stream

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)


@torch.no_grad()
def record_forward(anatomy: Anatomy, token_ids: list[int], on_layer: Callable[[int], None]) -> Record:
    """Run the prompt once. `on_layer(l)` is called after each layer and may raise to stop.

    Weights of a lower precision are raised to float32 one layer at a time, so that the replay of this pass is exact.
    """
    model = anatomy.model
    device = anatomy.unembed.weight.device
    parts: dict[str, list] = {
        name: [None] * len(anatomy.layers)
        for name in (
            "patterns",
            "ln1",
            "post_attention",
            "mlp_stream",
            "ln2",
            "ln2_scale",
            "post_mlp",
            "mlp_input",
            "mlp_output",
        )
    }
    ends: dict[str, Tensor] = {}

    with _hooks() as hook, _float32(anatomy):
        hook(anatomy.embed, lambda _m, _i, out: ends.__setitem__("embedding", out[0]))
        if anatomy.positions is not None:
            hook(anatomy.positions, lambda _m, _i, out: ends.__setitem__("positions", out.reshape(len(token_ids), -1)))
        hook(anatomy.final_norm, lambda m, i, _o: ends.__setitem__("gain", anatomy.norm_gain(m, i[0][0, -1])))
        hook(anatomy.unembed, lambda _m, _i, out: ends.__setitem__("raw_logits", out[0, -1]))
        for index, layer in enumerate(anatomy.layers):

            def keep(name: str, value: Callable, index: int = index) -> Callable:
                return lambda m, i, o: parts[name].__setitem__(index, value(m, i, o))

            def gain(m: nn.Module, i: tuple, _o: object) -> Tensor:
                return anatomy.norm_gain(m, i[0][0])

            hook(layer.attention, keep("patterns", lambda _m, _i, o: o[1][0]))
            hook(layer.ln1, keep("ln1", gain))
            hook(layer.ln2, keep("ln2", gain))
            hook(layer.ln2, keep("ln2_scale", lambda m, i, _o: anatomy.norm_scale(m, i[0][0])))
            hook(layer.ln2, keep("mlp_stream", lambda _m, i, _o: i[0][0]))
            hook(layer.mlp, keep("mlp_input", lambda _m, i, _o: i[0][0]))
            if layer.post_attention_norm is not None:
                hook(layer.post_attention_norm, keep("post_attention", gain))
            if layer.post_mlp_norm is not None:
                hook(layer.post_mlp_norm, keep("post_mlp", gain))
            hook(layer.post_mlp_norm or layer.mlp, keep("mlp_output", lambda _m, _i, o: o[0]))
            hook(layer.module, lambda _m, _i, _o, index=index: on_layer(index))
        # use_cache=False: nothing is generated from this pass
        out = model(input_ids=torch.tensor([token_ids], device=device), use_cache=False, logits_to_keep=1)

    return Record(
        token_ids=list(token_ids),
        embedding=ends["embedding"],
        logits=out.logits[0, -1].float(),
        raw_logits=ends["raw_logits"].float(),
        final_gain=ends["gain"],
        positions=ends.get("positions"),
        **parts,
    )


@contextmanager
def _hooks() -> Iterator[Callable[[nn.Module, Callable], None]]:
    """Forward hooks that go away with the block; what they return is dropped, so they can't change the pass."""
    handles = []

    def add(module: nn.Module, look: Callable) -> None:
        def hook(m: nn.Module, i: tuple, o: object) -> None:
            look(m, i, o)

        handles.append(module.register_forward_hook(hook))

    try:
        yield add
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _float32(anatomy: Anatomy) -> Iterator[None]:
    """Raise each layer's weights to float32 while it runs, and put the originals back after it."""
    if anatomy.unembed.weight.dtype == torch.float32:
        yield
        return
    handles, lowered = [], {}

    def raise_(module: nn.Module, _inputs: tuple) -> None:
        for parameter in module.parameters():
            lowered[parameter] = parameter.data
            parameter.data = parameter.data.float()

    def lower(module: nn.Module, _inputs: tuple, _output: object) -> None:
        for parameter in module.parameters():
            parameter.data = lowered.pop(parameter)

    # the embedding is raised only in its output: one row a token, not the whole table
    for embedding in filter(None, (anatomy.embed, anatomy.positions)):
        handles.append(embedding.register_forward_hook(lambda _m, _i, out: out.float()))
    for module in [layer.module for layer in anatomy.layers] + [anatomy.final_norm, anatomy.unembed]:
        handles.append(module.register_forward_pre_hook(raise_))
        handles.append(module.register_forward_hook(lower))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for parameter, original in lowered.items():  # a pass that was stopped half-way
            parameter.data = original
