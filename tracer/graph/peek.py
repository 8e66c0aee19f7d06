"""The feature nodes of a saved graph, read without its matrix: to look for a feature in many graphs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from tracer.errors import TracerError, first_line

_NAMES = ("layer", "position", "feature", "activation")


@dataclass(frozen=True)
class FeatureNodes:
    """(N,) each, sorted by layer, position and feature."""

    layer: np.ndarray
    position: np.ndarray
    feature: np.ndarray
    activation: np.ndarray

    def of(self, layer: int, feature: int) -> list[tuple[int, float]]:
        """Position and activation of each node of one feature."""
        found = np.flatnonzero((self.layer == layer) & (self.feature == feature))
        return list(zip(self.position[found].tolist(), self.activation[found].tolist(), strict=True))


def feature_nodes(saved: Path | bytes) -> FeatureNodes:
    """Of what `Graph.save` or `Graph.to_bytes` wrote. Raises TracerError for anything else.

    Only these four arrays are read, so no checksum is checked: opening the graph checks the whole of it.
    """
    try:
        if isinstance(saved, bytes):
            whole = load(saved)
            arrays = [whole[name] for name in _NAMES]
        else:
            with safe_open(saved, "numpy") as file:
                arrays = [file.get_tensor(name) for name in _NAMES]
    except (OSError, SafetensorError, KeyError, ValueError) as problem:
        raise TracerError(f"this is not a readable graph file ({first_line(problem)})") from problem
    if any(array.ndim != 1 or len(array) != len(arrays[0]) for array in arrays):
        raise TracerError("this is not a readable graph file (its features have different lengths)")
    return FeatureNodes(*arrays)
