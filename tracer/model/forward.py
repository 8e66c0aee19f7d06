"""One forward pass of the real model under hooks, in float32 whatever the weights are kept in, and wherever.

Every hook goes away with its block, also when the pass is stopped half-way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tracer.model.anatomy import Anatomy, in_float32


class Hooks:
    """Hooks on modules, in the order in which they were added."""

    def __init__(self) -> None:
        self._handles: list = []

    def look(self, module: nn.Module, look: Callable) -> None:
        """`look(module, inputs, output)` after it ran; what it returns is dropped, so it can't change the pass."""

        def hook(m: nn.Module, i: tuple, o: object) -> None:
            look(m, i, o)

        self._handles.append(module.register_forward_hook(hook))

    def look_before(self, module: nn.Module, look: Callable) -> None:
        """`look(input)` before it runs: what the module's one input is."""

        def hook(_m: nn.Module, i: tuple) -> None:
            look(i[0])

        self._handles.append(module.register_forward_pre_hook(hook))

    def change(self, module: nn.Module, change: Callable) -> None:
        """`change(module, inputs, output)` gives what stands in for the output."""
        self._handles.append(module.register_forward_hook(change))

    def change_before(self, module: nn.Module, change: Callable) -> None:
        """`change(input)` gives what stands in for the module's one input."""
        self._handles.append(module.register_forward_pre_hook(lambda _m, i: change(i[0])))

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


@contextmanager
def hooked(anatomy: Anatomy) -> Iterator[Hooks]:
    """Run the model within this block, with hooks; each layer's weights are raised to float32, on the model's device,
    while it runs."""
    hooks = Hooks()
    try:
        with _float32(anatomy):
            for module in _parts(anatomy):
                hooks.look(module, lambda _m, _i, _o: anatomy.release())
            yield hooks
    finally:
        hooks.remove()


def last_logits(anatomy: Anatomy, token_ids: list[int]) -> Tensor:
    """(V,) float32 of the last position, as the model gives them (after its softcap). The pass itself."""
    ids = torch.tensor([token_ids], device=anatomy.device)
    # use_cache=False: nothing is generated from this pass
    return anatomy.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1].float().cpu()


def _parts(anatomy: Anatomy) -> list[nn.Module]:
    """What runs one after another, and needs its weights only then."""
    return [*(layer.module for layer in anatomy.layers), anatomy.final_norm, anatomy.unembed]


@contextmanager
def _float32(anatomy: Anatomy) -> Iterator[None]:
    """Raise each layer's weights to float32 on the model's device while it runs; then put the originals back."""
    if all(p.dtype == torch.float32 and p.device == anatomy.device for p in anatomy.model.parameters()):
        yield
        return
    handles, lowered = [], {}

    def raise_(module: nn.Module, _inputs: tuple) -> None:
        for parameter in module.parameters():
            lowered[parameter] = parameter.data
            parameter.data = in_float32(parameter.data, anatomy.device)

    def lower(module: nn.Module, _inputs: tuple, _output: object) -> None:
        for parameter in module.parameters():
            parameter.data = lowered.pop(parameter)

    # the embedding is raised only in its output: one row a token, not the whole table
    for embedding in filter(None, (anatomy.embed, anatomy.positions)):
        handles.append(embedding.register_forward_hook(lambda _m, _i, out: out.float()))
    for module in _parts(anatomy):
        handles.append(module.register_forward_pre_hook(raise_))
        handles.append(module.register_forward_hook(lower))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for parameter, original in lowered.items():  # a pass that was stopped half-way
            parameter.data = original
