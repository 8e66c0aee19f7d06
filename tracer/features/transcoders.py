"""What per-layer and cross-layer transcoders share: which features are active, where they read, biases and skips.

A feature is a latent of a transcoder trained on the MLP. Its row sums to its pre-activation, which of an active feature
is its activation (ReLU, JumpReLU, TopK). Weights stay on disk: encoders pass through in blocks, and only the rows of
active features are kept.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from tracer.errors import Progress, TracerError
from tracer.features.activations import above_threshold, largest_k
from tracer.features.basis import FeatureSet
from tracer.features.files import TranscoderFiles
from tracer.features.points import ReadPoint, Skip, read_point, write_gain
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record


class TranscoderBasis:
    """Base of `PerLayerBasis` and `CrossLayerBasis`."""

    selects_by_attribution = False
    default_nodes = 7500
    zero_at_excluded = True  # a transcoder was not made for what stands there

    def __init__(self, anatomy: Anatomy, files: TranscoderFiles) -> None:
        """Raises TracerError where the set was made for another model, naming both sides."""
        sizes = {"layers": (files.n_layers, len(anatomy.layers)), "d_model": (files.d_model, anatomy.d_model)}
        for what, (theirs, ours) in sizes.items():
            if theirs != ours:
                trained = f" (trained on {files.model_name})" if files.model_name else ""
                raise TracerError(
                    f"the feature set {files.name}{trained} has {what} {theirs}, the model has {ours}:"
                    " choose the set made for this model"
                )
        self.anatomy, self.files = anatomy, files
        self.name, self.fingerprint, self.n_features = files.name, files.fingerprint, files.n_features
        self.reads_at, self.writes_at = files.feature_input_hook, files.feature_output_hook

    @torch.no_grad()
    def active_at(self, layer: int, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Positions, features and activations of the active features of a layer. `inputs` (T, D) at its read point."""
        files = self.files
        blocks, bias = files.encoder_blocks(layer), files.encoder_bias(layer).to(inputs.device)
        if files.activation == "topk":
            return largest_k(inputs, blocks, bias, files.k or 1)
        threshold = files.threshold(layer)
        return above_threshold(inputs, blocks, bias, None if threshold is None else threshold.to(inputs.device))

    @torch.no_grad()
    def activations(self, record: Record, layer: int, feature: int) -> Tensor:
        """(T,): one feature at each token, 0 where it is not active."""
        inputs = read_point(self.anatomy, record, layer, self.reads_at).values
        return self.reader(layer, torch.tensor([feature], device=inputs.device))(inputs)[:, 0]

    @torch.no_grad()
    def reader(self, layer: int, features: Tensor) -> Callable[[Tensor], Tensor]:
        """Of TopK the whole encoder passes by at each call, as a feature's activation depends on the others."""
        files, device = self.files, features.device
        if files.activation == "topk":
            return lambda inputs: self._survivors(layer, features, inputs)
        rows = files.encoder_rows(layer, features.cpu()).to(device)
        bias, threshold = files.encoder_bias(layer).to(device)[features], files.threshold(layer)
        limit = torch.zeros_like(bias) if threshold is None else threshold.to(device)[features]

        def read(inputs: Tensor) -> Tensor:
            pre = inputs @ rows.T + bias
            return torch.where(pre > limit, pre, 0.0)

        return read

    def _survivors(self, layer: int, features: Tensor, inputs: Tensor) -> Tensor:
        position, active, values = self.active_at(layer, inputs)
        found = inputs.new_zeros(len(inputs), len(features))
        for column, feature in enumerate(features.tolist()):
            mine = active == feature
            found[position[mine], column] = values[mine]
        return found

    @torch.no_grad()
    def write_vectors(self, layer: int, features: Tensor) -> Tensor:
        rows = self.files.decoder_rows(layer, features.cpu()).to(features.device)
        return rows.view(len(features), -1, self.files.d_model)

    def skip_matrix(self, layer: int) -> Tensor | None:
        matrix = self.files.skip(layer)
        return None if matrix is None else matrix.to(self.anatomy.device)

    @torch.no_grad()
    def output_direction(self, layer: int, feature: int) -> Tensor:
        """(D,): the write vector at the stream, of a cross-layer feature the sum over layers; norm scales left out."""
        rows = self.files.decoder_rows(layer, torch.tensor([feature]))[0].to(self.anatomy.device)
        total = torch.zeros(self.files.d_model, device=rows.device)
        for slot, row in enumerate(rows.view(-1, self.files.d_model)):
            norm = self.anatomy.layers[layer + slot].post_mlp_norm
            inner = norm is not None and self.files.feature_output_hook == "mlp.hook_out"
            total += row * self.anatomy.norm_weight(norm) if inner and norm is not None else row
        return total


class TranscoderEncoding:
    """The active features of one record, sorted by (layer, position, feature)."""

    cross_layer: bool

    def __init__(self, basis: TranscoderBasis, record: Record, excluded: list[int], progress: Progress) -> None:
        self.basis, self.record, self.files = basis, record, basis.files
        self.device = record.embedding.device
        layers, positions, features, values = [], [], [], []
        outside = torch.tensor(excluded, dtype=torch.int64, device=self.device)
        for layer in range(basis.files.n_layers):
            progress("encode", layer / basis.files.n_layers)
            position, feature, value = basis.active_at(layer, self.point(layer).values)
            kept = ~torch.isin(position, outside)
            layers.append(torch.full((int(kept.sum()),), layer, dtype=torch.int64, device=self.device))
            positions.append(position[kept])
            features.append(feature[kept])
            values.append(value[kept])
        self.features = FeatureSet(torch.cat(layers), torch.cat(positions), torch.cat(features))
        self.values = torch.cat(values)
        self.keys = self._key(self.features)
        self.n_active = len(self.values)
        self._encoder_rows: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # as `_active_rows` has them

    def point(self, layer: int) -> ReadPoint:
        return read_point(self.basis.anatomy, self.record, layer, self.files.feature_input_hook)

    def gain(self, layer: int) -> Tensor | None:
        return write_gain(self.record, layer, self.files.feature_output_hook)

    def active(self) -> FeatureSet:
        return self.features

    def activation(self, features: FeatureSet) -> Tensor:
        return self.values[torch.searchsorted(self.keys, self._key(features))]

    def read(self, layer: int, position: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        if layer not in self._encoder_rows:
            self._encoder_rows[layer] = self._active_rows(layer)
        known, rows, own = self._encoder_rows[layer]
        place = torch.searchsorted(known, feature)
        return self.point(layer).transpose(rows[place], position), own[place]

    def _active_rows(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """The features that are active in a layer, their encoder rows, and what they owe to biases."""
        known = self.features.feature[self.features.span(layer)].unique()
        rows = self.files.encoder_rows(layer, known.cpu()).to(self.device)
        own, bias = self.files.encoder_bias(layer).to(self.device)[known], self.point(layer).bias
        return known, rows, own if bias is None else own + rows @ bias

    def constant(self, layer: int) -> Tensor:
        constant, skip, bias = (
            self.files.decoder_bias(layer).to(self.device),
            self.basis.skip_matrix(layer),
            self.point(layer).bias,
        )
        if skip is not None and bias is not None:
            constant = constant + bias @ skip
        constant, gain = constant.expand(self.record.n_tokens, -1), self.gain(layer)
        return constant if gain is None else constant * gain

    def skip(self, layer: int) -> Skip | None:
        matrix = self.basis.skip_matrix(layer)
        return None if matrix is None else Skip(self.point(layer), matrix, self.gain(layer))

    def _key(self, features: FeatureSet) -> Tensor:
        return (features.layer * self.record.n_tokens + features.position) * self.files.n_features + features.feature

    def write(self, to: int, rows: Tensor, features: FeatureSet) -> Tensor:
        """(n, D): decoder rows of active features × activation, at the stream after the MLP of layer `to`."""
        vectors = rows * self.activation(features)[:, None]
        gain = self.gain(to)
        return vectors if gain is None else vectors * gain[features.position]
