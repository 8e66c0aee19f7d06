"""Files as circuit-tracer writes them: its own classes' names, pickled the ordinary way."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from tests.tracer.interchange.cases import Case

CONFIG, TARGETS = "circuit_tracer.utils.tl_nnsight_mapping", "circuit_tracer.attribution.targets"
SOURCE = {
    CONFIG: """
from dataclasses import dataclass
@dataclass
class UnifiedConfig:
    n_layers: int
    d_model: int
    d_head: int
    n_heads: int
    d_mlp: int
    d_vocab: int
    tokenizer_name: str
    model_name: str
    original_architecture: str
    n_key_value_heads: object = None
    dtype: object = None
""",
    TARGETS: """
from typing import NamedTuple
class LogitTarget(NamedTuple):
    token_str: str
    vocab_idx: int
""",
}


@contextmanager
def installed() -> Iterator[tuple[type, type]]:
    """UnifiedConfig and LogitTarget where circuit-tracer has them, as long as this lasts."""
    packages = ("circuit_tracer", "circuit_tracer.utils", "circuit_tracer.attribution")
    modules = {name: ModuleType(name) for name in (*packages, *SOURCE)}
    assert not modules.keys() & sys.modules.keys()
    sys.modules.update(modules)
    try:
        for name, source in SOURCE.items():
            exec(source, modules[name].__dict__)
        yield modules[CONFIG].UnifiedConfig, modules[TARGETS].LogitTarget
    finally:
        for name in modules:
            del sys.modules[name]


def parts(it: Case, config: type, target: type) -> dict[str, Any]:
    """What `Graph.to_pt` saves (study/circuit-tracer.md §4)."""
    want = {name: torch.from_numpy(array) for name, array in it.want.items()}
    texts = [node["clerp"].removeprefix('Output "').rpartition('" (p=')[0] for node in it.logits]
    ids = it.want["logit_token_ids"].tolist()
    sizes = {"d_model": 48, "d_head": 12, "n_heads": 4, "d_mlp": 96, "d_vocab": 300}
    names = {"tokenizer_name": "tiny", "model_name": "a-model", "original_architecture": "LlamaForCausalLM"}
    return {
        "input_string": it.document["metadata"]["prompt"],
        "adjacency_matrix": want["adjacency_matrix"],
        "cfg": config(n_layers=it.n_layers, **sizes, **names, n_key_value_heads=2, dtype=torch.float32),
        "active_features": want["active_features"],
        "logit_targets": [target(text, i) for text, i in zip(texts, ids, strict=True)],
        "logit_probabilities": want["logit_probabilities"],
        "vocab_size": 300,
        "input_tokens": want["input_tokens"],
        "selected_features": want["selected_features"],
        "activation_values": want["activation_values"],
        "scan": it.document["metadata"]["scan"],
    }


def write(it: Case, path: Path, **changes: Any) -> Path:
    """A change to None takes the field away."""
    with installed() as classes:
        content = parts(it, *classes) | changes
        torch.save({name: part for name, part in content.items() if part is not None}, path)
    return path
