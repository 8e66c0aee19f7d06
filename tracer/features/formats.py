"""Which tensor of a transcoder is which, in the published layouts. What is in a file decides, not what it is called.

D is the width of the model, F the features of a layer, L the layers. A per-layer transcoder (PLT) writes at its own
layer, a cross-layer one (CLT) at its own and all later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import TracerError
from tracer.features.tensors import StoredTensor, stored_tensors, whole


@dataclass(frozen=True)
class Layout:
    """The names of a layer's tensors; {} is the number of the layer."""

    encoder: str
    decoder: str
    encoder_bias: str
    decoder_bias: str
    threshold: str
    skip: str
    encoder_by_columns: bool  # (D, F) instead of (F, D)
    dense: bool  # a CLT's decoder has slots for all L layers; else for its own and the later ones
    hooks: tuple[str, str] | None  # where such a set reads and writes, if its format settles that


CT_PLT = Layout("W_enc", "W_dec", "b_enc", "b_dec", "activation_function.threshold", "W_skip",
                encoder_by_columns=False, dense=False, hooks=None)  # fmt: skip
CT_CLT = Layout("W_enc_{}", "W_dec_{}", "b_enc_{}", "b_dec_{}", "threshold_{}", "W_skip_{}",
                encoder_by_columns=False, dense=False, hooks=None)  # fmt: skip
GEMMASCOPE_2 = Layout("w_enc", "w_dec", "b_enc", "b_dec", "threshold", "affine_skip_connection",
                      encoder_by_columns=True, dense=True, hooks=("mlp.hook_in", "hook_mlp_out"))  # fmt: skip
LAYOUTS = (CT_PLT, CT_CLT, GEMMASCOPE_2)


@dataclass(frozen=True)
class LayerTensors:
    """Where the parts of one layer lie."""

    layout: Layout
    encoder: StoredTensor  # (F, D), or (D, F) if the layout is by columns
    decoder: StoredTensor  # PLT (F, D); CLT (F, slots, D)
    first_slot: int  # of a CLT's decoder: the one that writes to the layer itself
    encoder_bias: StoredTensor  # (F,)
    decoder_bias: StoredTensor  # (D,)
    threshold: StoredTensor | None  # (F,), or one number
    skip: StoredTensor | None  # (D, D); a PLT of circuit-tracer's adds x @ skip.T, the others x @ skip
    k: StoredTensor | None  # one number, in sets that were saved with it

    @property
    def kind(self) -> str:
        return "plt" if len(self.decoder.shape) == 2 else "clt"

    @property
    def n_features(self) -> int:
        return self.decoder.shape[0]

    @property
    def d_model(self) -> int:
        return self.decoder.shape[-1]

    @property
    def path(self) -> Path:
        return self.encoder.path


def layers_told(path: Path) -> int | None:
    """How many layers a set has by one of its files: only a dense decoder tells."""
    decoder = stored_tensors(path).get(GEMMASCOPE_2.decoder)
    return decoder.shape[1] if decoder is not None and len(decoder.shape) == 3 else None


def read_layers(files: Sequence[Sequence[Path]]) -> list[LayerTensors]:
    """The layers of a set, the files of each given; every shape and every bias checked, the large tensors not read.

    Raises TracerError for what is missing, of another shape than the rest, or not finite.
    """
    layers = [_read_layer(paths, layer) for layer, paths in enumerate(files)]
    first = layers[0]
    for i, layer in enumerate(layers):
        if (layer.kind, layer.n_features, layer.d_model) != (first.kind, first.n_features, first.d_model):
            raise TracerError(
                f"{layer.path}: layer {i} has {_size(layer)}, layer 0 has {_size(first)}; a set has the same in all"
                " layers, so see that these files belong together"
            )
        _check(layer, i, len(layers))
    for part in ("threshold", "skip"):
        has = [getattr(layer, part) is not None for layer in layers]
        if any(has) and not all(has):
            raise TracerError(
                f"{layers[has.index(False)].path}: layer {has.index(False)} has no {part}, others of its set do;"
                " download the set again"
            )
    return layers


def _read_layer(paths: Sequence[Path], layer: int) -> LayerTensors:
    tensors = {name: tensor for path in paths for name, tensor in stored_tensors(path).items()}
    for layout in LAYOUTS:
        if layout.encoder.format(layer) in tensors:
            break
    else:
        raise TracerError(
            f"{paths[0]} holds no transcoder of layer {layer}, only {', '.join(tensors)[:60]!r}; what can be read are"
            " circuit-tracer's and GemmaScope's layouts"
        )

    def needed(name: str, path: Path) -> StoredTensor:
        if name.format(layer) not in tensors:
            raise TracerError(f"{path} lacks {name.format(layer)}; download the set again")
        return tensors[name.format(layer)]

    decoder = needed(layout.decoder, paths[-1])
    if len(decoder.shape) not in (2, 3) or 0 in decoder.shape:
        raise _misshapen(decoder, "(features, width) or (features, layers, width)")
    return LayerTensors(
        layout=layout,
        encoder=needed(layout.encoder, paths[0]),
        decoder=decoder,
        first_slot=layer if layout.dense and len(decoder.shape) == 3 else 0,
        encoder_bias=needed(layout.encoder_bias, paths[0]),
        decoder_bias=needed(layout.decoder_bias, paths[0]),
        threshold=tensors.get(layout.threshold.format(layer)),
        skip=tensors.get(layout.skip.format(layer)),
        k=tensors.get("k"),
    )


def _check(layer: LayerTensors, i: int, n_layers: int) -> None:
    """That the shapes fit each other and the number of layers, and that the small tensors are finite."""
    f, d = layer.n_features, layer.d_model
    slots = n_layers if layer.layout.dense else n_layers - i
    if layer.kind == "clt" and layer.decoder.shape[1] != slots:
        raise TracerError(
            f"{layer.decoder.path}: {layer.decoder.name} writes to {layer.decoder.shape[1]} layers, but with"
            f" {n_layers} layers there it should be {slots}; a layer is missing or too many: download the set again"
        )
    shapes: list[tuple[StoredTensor | None, list[tuple[int, ...]]]] = [
        (layer.encoder, [(d, f) if layer.layout.encoder_by_columns else (f, d)]),
        (layer.decoder, [layer.decoder.shape]),
        (layer.encoder_bias, [(f,)]),
        (layer.decoder_bias, [(d,)]),
        (layer.threshold, [(f,), (1,), ()]),
        (layer.skip, [(d, d)]),
    ]
    for tensor, expected in shapes:
        if tensor is None:
            continue
        if tensor.shape not in expected:
            raise _misshapen(tensor, str(expected[0]))
        if not tensor.dtype.is_floating_point:
            raise TracerError(f"{tensor.path}: {tensor.name} holds {tensor.dtype}; weights must be floating point")
    for tensor in (layer.encoder_bias, layer.decoder_bias, layer.threshold):
        if tensor is not None:
            whole(tensor)  # refuses what is not finite


def _misshapen(tensor: StoredTensor, expected: str) -> TracerError:
    return TracerError(
        f"{tensor.path}: {tensor.name} has the shape {tensor.shape}, not {expected}; download the set again"
    )


def _size(layer: LayerTensors) -> str:
    return f"{layer.n_features} features of width {layer.d_model} ({layer.kind.upper()})"
