"""Per-layer transcoders (PLT): a feature reads before the MLP of its layer and writes after it."""

import torch
from torch import Tensor

from tracer.errors import Progress, silent
from tracer.features.basis import FeatureSet
from tracer.features.transcoders import TranscoderBasis, TranscoderEncoding
from tracer.model.record import Record


class PerLayerBasis(TranscoderBasis):
    @torch.no_grad()
    def encode(self, record: Record, excluded: list[int], progress: Progress = silent) -> "PerLayerEncoding":
        return PerLayerEncoding(self, record, excluded, progress)


class PerLayerEncoding(TranscoderEncoding):
    cross_layer = False

    def written(self, features: FeatureSet) -> list[Tensor]:
        vectors = []
        for layer in range(self.files.n_layers):
            here = features[features.span(layer)]
            unique, place = here.feature.unique(return_inverse=True)
            rows = self.files.decoder_rows(layer, unique.cpu()).to(self.device)[place]
            vectors.append(self.write(layer, rows, here))
        return vectors
