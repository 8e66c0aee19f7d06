"""Tiny random sets of transcoders, and how each published layout writes them to disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

L, F, D = 3, 24, 8


@dataclass
class Weights:
    """One entry a layer. Decoders: PLT (F, D), CLT (F, L − layer, D). Skips: such that x @ skip is added."""

    encoder: list[Tensor]
    decoder: list[Tensor]
    encoder_bias: list[Tensor]
    decoder_bias: list[Tensor]
    threshold: list[Tensor] | None
    skip: list[Tensor] | None


def random_weights(kind: str = "plt", threshold: bool = True, skip: bool = True, seed: int = 0) -> Weights:
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Weights(
        encoder=[some(F, D) for _ in range(L)],
        decoder=[some(F, D) if kind == "plt" else some(F, L - layer, D) for layer in range(L)],
        encoder_bias=[some(F) for _ in range(L)],
        decoder_bias=[some(D) for _ in range(L)],
        threshold=[some(F).abs() for _ in range(L)] if threshold else None,
        skip=[some(D, D) for _ in range(L)] if skip else None,
    )


def write_config(folder: Path, **settings: Any) -> None:
    """config.yaml as circuit-tracer has it; a setting that is None is left out."""
    plain = {
        "model_kind": "transcoder_set",
        "model_name": "org/base",
        "feature_input_hook": "mlp.hook_in",
        "feature_output_hook": "mlp.hook_out",
    }
    said = {key: value for key, value in (plain | settings).items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(said))


def save(tensors: dict[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def plt_tensors(weights: Weights, layer: int) -> dict[str, Tensor]:
    """Of circuit-tracer's layer_{i}.safetensors: the skip is stored turned round."""
    tensors = {
        "W_enc": weights.encoder[layer],
        "W_dec": weights.decoder[layer],
        "b_enc": weights.encoder_bias[layer],
        "b_dec": weights.decoder_bias[layer],
    }
    if weights.threshold:
        tensors["activation_function.threshold"] = weights.threshold[layer]
    if weights.skip:
        tensors["W_skip"] = weights.skip[layer].T
    return tensors


def write_plt(folder: Path, weights: Weights, **settings: Any) -> Path:
    """circuit-tracer's PLT."""
    for layer in range(L):
        save(plt_tensors(weights, layer), folder / f"layer_{layer}.safetensors")
    write_config(folder, **settings)
    return folder


def write_clt(folder: Path, weights: Weights, **settings: Any) -> Path:
    """circuit-tracer's CLT."""
    for i in range(L):
        tensors = {
            f"W_enc_{i}": weights.encoder[i],
            f"b_enc_{i}": weights.encoder_bias[i],
            f"b_dec_{i}": weights.decoder_bias[i],
        }
        if weights.threshold:
            tensors[f"threshold_{i}"] = weights.threshold[i]
        if weights.skip:
            tensors[f"W_skip_{i}"] = weights.skip[i]
        save(tensors, folder / f"W_enc_{i}.safetensors")
        save({f"W_dec_{i}": weights.decoder[i]}, folder / f"W_dec_{i}.safetensors")
    write_config(folder, **{"model_kind": "cross_layer_transcoder", **settings})
    return folder


def gemmascope2_tensors(weights: Weights, layer: int) -> dict[str, Tensor]:
    """Encoders by columns; a CLT's decoders for all layers, with what is before its own filled with nonsense."""
    decoder = weights.decoder[layer]
    if decoder.ndim == 3:
        decoder = torch.cat([torch.full((F, layer, D), 1e6), decoder], dim=1)
    tensors = {
        "w_enc": weights.encoder[layer].T,
        "w_dec": decoder,
        "b_enc": weights.encoder_bias[layer],
        "b_dec": weights.decoder_bias[layer],
    }
    if weights.threshold:
        tensors["threshold"] = weights.threshold[layer]
    if weights.skip:
        tensors["affine_skip_connection"] = weights.skip[layer]
    return tensors


def write_gemmascope2_plt(folder: Path, weights: Weights) -> Path:
    for layer in range(L):
        here = folder / f"layer_{layer}_width_24_l0_small_affine"
        save(gemmascope2_tensors(weights, layer), here / "params.safetensors")
        save({"examples": torch.zeros(2)}, here / "examples.safetensors")
    return folder


def write_gemmascope2_clt(folder: Path, weights: Weights) -> Path:
    for layer in range(L):
        save(gemmascope2_tensors(weights, layer), folder / f"params_layer_{layer}.safetensors")
    return folder


def write_npz(path: Path, weights: Weights, layer: int, **other: Any) -> None:
    """GemmaScope's archive. `other`: arrays in place of its own."""
    assert weights.threshold
    arrays = {
        "W_enc": weights.encoder[layer].T.numpy(),
        "W_dec": weights.decoder[layer].numpy(),
        "b_enc": weights.encoder_bias[layer].numpy(),
        "b_dec": weights.decoder_bias[layer].numpy(),
        "threshold": weights.threshold[layer].numpy(),
    } | other
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})


def write_gemmascope(folder: Path, weights: Weights) -> Path:
    """One archive a layer, in folders named by its mean number of active features."""
    for layer in range(L):
        write_npz(folder / f"layer_{layer}/width_24/average_l0_{70 - 9 * layer}/params.npz", weights, layer)
    return folder
