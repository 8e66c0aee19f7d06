"""circuit-tracer's graphs of the parity set: what it computed, and the frontend's file that it wrote."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from scipy import sparse

from tracer import Graph
from tracer.graph.file import Target
from tracer.graph.layout import Layout

FIXTURES = Path(__file__).parents[2] / "fixtures"
FOLDERS = {path.parent.name: path.parent for path in sorted(FIXTURES.glob("*/*/graph.json"))}
NAMES = sorted(FOLDERS)
ONE = "gemma3_plt_jumprelu"  # where one is enough: two targets, an id that two nodes share


@dataclass
class Case:
    json_file: Path
    document: dict[str, Any]  # the frontend's
    want: dict[str, np.ndarray]  # names of parity/README.md

    @property
    def n(self) -> int:
        return len(self.want["adjacency_matrix"])

    @property
    def n_layers(self) -> int:
        others = len(self.want["selected_features"]) + len(self.want["logit_token_ids"])
        return (self.n - others) // len(self.want["input_tokens"]) - 1

    @property
    def features(self) -> np.ndarray:
        """(n_selected, 3)"""
        return self.want["active_features"][self.want["selected_features"]]

    @property
    def logits(self) -> list[dict[str, Any]]:
        return [node for node in self.document["nodes"] if node["feature_type"] == "logit"]

    def graph(self) -> Graph:
        """As a graph of ours, its rows' values unknown."""
        layer, position, feature = self.features.T
        tokens, ids = self.document["metadata"]["prompt_tokens"], self.want["input_tokens"].tolist()
        layout = Layout(layer, position, feature, self.n_layers, len(ids), len(self.want["logit_token_ids"]))
        matrix = np.zeros((layout.n_nodes, layout.n_nodes), dtype=np.float32)
        matrix[: self.n, : self.n] = self.want["adjacency_matrix"]
        texts = [node["clerp"].removeprefix('Output "').rpartition('" (p=')[0] for node in self.logits]
        targets = [
            Target(text, int(i), float(p), float(p), None)
            for text, i, p in zip(texts, self.want["logit_token_ids"], self.want["logit_probabilities"], strict=True)
        ]
        meta = {
            "prompt": self.document["metadata"]["prompt"],
            "tokens": tokens,
            "model": "tiny",
            "features": self.document["metadata"]["scan"],
            "model_fingerprint": "",
            "excluded": [0],
            "n_active": len(self.want["active_features"]),
        }
        activation = self.want["activation_values"][self.want["selected_features"]]
        return Graph(layout, activation, targets, sparse.csr_array(matrix), ids, meta)


def case(name: str) -> Case:
    folder = FOLDERS[name]
    document = json.loads((folder / "graph.json").read_text())
    return Case(folder / "graph.json", document, load_file(folder / "expected.safetensors"))
