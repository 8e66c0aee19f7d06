"""Cross-layer transcoders (CLT): a feature reads before the MLP of its layer and writes after it and all later MLPs."""

import torch
from torch import Tensor

from tracer.errors import Progress, silent
from tracer.features.basis import FeatureSet
from tracer.features.transcoders import TranscoderBasis, TranscoderEncoding
from tracer.model.record import Record


class CrossLayerBasis(TranscoderBasis):
    @torch.no_grad()
    def encode(self, record: Record, excluded: list[int], progress: Progress = silent) -> "CrossLayerEncoding":
        return CrossLayerEncoding(self, record, excluded, progress)


class CrossLayerEncoding(TranscoderEncoding):
    cross_layer = True

    def written(self, features: FeatureSet) -> list[Tensor]:
        n_layers = self.files.n_layers
        ends = [features.span(layer).stop for layer in range(n_layers)]
        vectors = [torch.empty(end, self.files.d_model, device=self.device) for end in ends]
        for layer in range(n_layers):
            span = features.span(layer)
            here = features[span]
            unique, place = here.feature.unique(return_inverse=True)
            rows = self.files.decoder_rows(layer, unique.cpu()).to(self.device)  # (u, L − layer, D)
            for to in range(layer, n_layers):
                vectors[to][span] = self.write(to, rows[place, to - layer], here)
        return vectors
