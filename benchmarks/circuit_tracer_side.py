"""circuit-tracer's half of `against_circuit_tracer.py`: run by the Python of .venv-peer, on the same files.

    .venv-peer/bin/python benchmarks/circuit_tracer_side.py '{"model": …, "transcoders": …, "tokens": […], …}'

Writes the graph as safetensors, and prints one line of JSON: seconds from token ids to the finished graph, and memory.
Its TransformerLens backend, the faster of the two, on the CPU in float32.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from circuit_tracer import attribute
from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
from circuit_tracer.transcoder.single_layer_transcoder import TranscoderSet, load_transcoder_set
from safetensors.torch import save_file
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_llama_weights
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.measure import PeakMemory


def main() -> None:
    job = json.loads(sys.argv[1])
    folder, batch_size = Path(job["model"]), job["batch_size"]
    model = load(folder, transcoders(Path(job["transcoders"])))
    with PeakMemory() as memory:
        begin = time.perf_counter()
        graph = attribute(
            torch.tensor(job["tokens"]),
            model,
            batch_size=batch_size,
            max_feature_nodes=job["max_nodes"],
            update_interval=max(1, job["round"] // batch_size),
        )
        seconds = time.perf_counter() - begin
    tensors = {
        "active_features": graph.active_features,
        "selected_features": graph.selected_features,
        "logit_token_ids": graph.logit_token_ids,
        "input_tokens": graph.input_tokens,
        "adjacency_matrix": graph.adjacency_matrix,
    }
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, job["out"])
    print(json.dumps({"seconds": seconds, "loaded": memory.loaded, "peak": memory.peak}))


def transcoders(folder: Path) -> TranscoderSet:
    config = dict(line.split(": ") for line in (folder / "config.yaml").read_text().splitlines())
    paths = {layer: str(folder / f"layer_{layer}.safetensors") for layer in range(len(list(folder.glob("layer_*"))))}
    return load_transcoder_set(
        paths,
        scan="random",
        feature_input_hook=config["feature_input_hook"],
        feature_output_hook=config["feature_output_hook"],
        device=torch.device("cpu"),
        lazy_encoder=False,  # both as its own `from_pretrained` has it
        lazy_decoder=True,
    )


def load(folder: Path, features: TranscoderSet) -> TransformerLensReplacementModel:
    """A Llama model that TransformerLens knows by no name, and whose config.json is of a newer transformers."""
    config = json.loads((folder / "config.json").read_text())
    special = json.loads((folder / "tokenizer_config.json").read_text())
    theirs = HookedTransformerConfig(
        n_layers=config["num_hidden_layers"],
        d_model=config["hidden_size"],
        n_ctx=64,
        d_head=config["head_dim"],
        n_heads=config["num_attention_heads"],
        n_key_value_heads=config["num_key_value_heads"],
        d_mlp=config["intermediate_size"],
        d_vocab=config["vocab_size"],
        act_fn=config["hidden_act"],
        eps=config["rms_norm_eps"],
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_adjacent_pairs=False,
        rotary_dim=config["head_dim"],
        rotary_base=config["rope_parameters"]["rope_theta"],
        final_rms=True,
        gated_mlp=True,
        original_architecture="LlamaForCausalLM",
        model_name=folder.name,
        device="cpu",
        dtype=torch.float32,
    )
    model = TransformerLensReplacementModel(theirs)
    weights = convert_llama_weights(LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), theirs)
    model.load_and_process_state_dict(
        weights, fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False
    )
    model.tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), bos_token=special["bos_token"]
    )
    model._configure_replacement_model(features)
    return model


if __name__ == "__main__":
    main()
