"""A set of transcoders on disk, read as it is needed: what it says of itself at once, its weights row by row."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tracer.errors import Progress, TracerError, first_line, silent
from tracer.features import formats, npz, references, settings, tensors
from tracer.features.formats import CT_PLT, LayerTensors
from tracer.features.references import FoundSet

SAMPLES, SAMPLE = 16, 1 << 16  # parts of a file that its fingerprint looks at, and the bytes of each


@dataclass(frozen=True)
class TranscoderFiles:
    """One set of transcoders. Every method opens the file it reads and closes it again; all tensors are float32, CPU.

    Shapes: D is `d_model`, F is `n_features`. A method raises TracerError if a file has gone or been cut short since,
    or holds values that are not finite.
    """

    name: str  # the reference as given
    kind: str  # "plt": a feature writes at its own layer; "clt": at its own and all later ones
    model_name: str | None  # the base model that the set says it was trained on
    feature_input_hook: str  # one of points.READ_HOOKS
    feature_output_hook: str  # one of points.WRITE_HOOKS
    activation: str  # "relu", "jumprelu" or "topk"
    k: int | None  # of topk
    fingerprint: str  # of the configuration, and of samples of each file, its size and time
    layers: tuple[LayerTensors, ...]

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def n_features(self) -> int:
        """Of one layer."""
        return self.layers[0].n_features

    @property
    def d_model(self) -> int:
        return self.layers[0].d_model

    def encoder_blocks(self, layer: int, rows: int = 4096) -> Iterator[tuple[int, Tensor]]:
        """The whole encoder in order, never all in memory: (first feature, (n, D)) with n ≤ `rows`."""
        here = self.layers[layer]
        read = tensors.column_blocks if here.layout.encoder_by_columns else tensors.row_blocks
        return read(here.encoder, rows)

    def encoder_rows(self, layer: int, features: Tensor) -> Tensor:
        """(n, D); `features` int64 (n,) in any order, repeats allowed."""
        here = self.layers[layer]
        read = tensors.columns if here.layout.encoder_by_columns else tensors.rows
        return read(here.encoder, features)

    def encoder_bias(self, layer: int) -> Tensor:
        """(F,)"""
        return tensors.whole(self.layers[layer].encoder_bias)

    def threshold(self, layer: int) -> Tensor | None:
        """(F,) of a JumpReLU, else None."""
        stored = self.layers[layer].threshold
        return None if stored is None else tensors.whole(stored).reshape(-1).expand(self.n_features).contiguous()

    def decoder_rows(self, layer: int, features: Tensor) -> Tensor:
        """PLT (n, D). CLT (n, n_layers − layer, D): slot j writes to layer + j. `features` as for the encoder."""
        here = self.layers[layer]
        if self.kind == "plt":
            return tensors.rows(here.decoder, features)
        slots = here.decoder.shape[1]
        wanted = torch.arange(here.first_slot, slots)
        rows = (features.cpu()[:, None] * slots + wanted).flatten()
        return tensors.rows(here.decoder.as_matrix(), rows).reshape(len(features), len(wanted), self.d_model)

    def decoder_bias(self, layer: int) -> Tensor:
        """(D,)"""
        return tensors.whole(self.layers[layer].decoder_bias)

    def skip(self, layer: int) -> Tensor | None:
        """(D, D) such that the MLP's input x adds x @ skip to the output; None for a set without skip connections."""
        here = self.layers[layer]
        if here.skip is None:
            return None
        stored = tensors.whole(here.skip)
        return stored.T.contiguous() if here.layout == CT_PLT else stored


def open_transcoders(reference: str, store: Path, progress: Progress = silent) -> TranscoderFiles:
    """Open a set: its configuration, shapes, biases and thresholds are read and checked, its large tensors are not.

    `reference`: a folder, or org/name[/folder][@revision] or hf://org/name[/folder][?revision=…] on the Hub.
    `store`: folder for sets that have to be converted (GemmaScope's .npz). Raises TracerError: what to do, in a line.
    """
    found = references.find(reference, progress)
    fingerprint = _fingerprint(found)
    archives = [files[0].path for files in found.layers if files[0].path.suffix == ".npz"]
    if not archives:
        return _opened(reference, found, fingerprint)
    if len(archives) < len(found.layers):
        raise TracerError(f"{reference} mixes .npz and .safetensors; give a set whose layers are all of one kind")
    settings.check_kind(found.config, "plt", reference)
    settings.hooks(found.config, npz.HOOKS, reference)
    folder = npz.converted_folder(fingerprint, store)

    def converted() -> TranscoderFiles:
        npz.convert(archives, found.config, folder, reference, progress)
        return _opened(reference, references.find(str(folder), progress), fingerprint)

    try:
        return converted()
    except TracerError:
        if not folder.is_dir():
            raise
        shutil.rmtree(folder, ignore_errors=True)  # our own conversion is spoiled: it can be made again
        return converted()


def _opened(reference: str, found: FoundSet, fingerprint: str) -> TranscoderFiles:
    layers = formats.read_layers([[file.path for file in files] for files in found.layers])
    first, config = layers[0], found.config
    settings.check_kind(config, first.kind, reference)
    described = settings.description(found.description) if first.layout.hooks and found.description else {}
    reads, writes = settings.hooks(config, first.layout.hooks, reference)
    activation, k = settings.activation(config, found.repository, layers)
    return TranscoderFiles(
        name=reference,
        kind=first.kind,
        model_name=settings.model_name(config, described),
        feature_input_hook=reads,
        feature_output_hook=writes,
        activation=activation,
        k=k,
        fingerprint=fingerprint,
        layers=tuple(layers),
    )


def _fingerprint(found: FoundSet) -> str:
    """SHA-256 over the configuration and what tells each file from others, without reading tens of gigabytes."""
    digest = hashlib.sha256(found.config_text)
    for files in found.layers:
        for file in files:
            digest.update(b"\0" + (file.hub.encode() if file.hub else _sampled(file.path)))
    return digest.hexdigest()


def _sampled(path: Path) -> bytes:
    """SHA-256 over a file's size, time of change, and parts of it from the first (the header) to the last."""
    try:
        stat = path.stat()
        digest = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns}".encode())
        last = max(0, stat.st_size - SAMPLE)
        with path.open("rb") as file:
            for i in range(SAMPLES):
                file.seek(last * i // (SAMPLES - 1))
                digest.update(file.read(SAMPLE))
    except OSError as problem:
        raise TracerError(f"can't read {path} ({first_line(problem)}); see to its rights") from problem
    return digest.digest()
