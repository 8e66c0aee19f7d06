"""What selection left out of a graph: active features without a row, and what the others owe to them."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass
class Dropped:
    """Kept beside the errors: row sums count both, circuit-tracer's scores leave this out, the strict ones don't."""

    features: np.ndarray  # (m, 3) int64: layer, position, feature; sorted
    activation: np.ndarray  # (m,) float32
    cells: sparse.csr_array  # (n, L·T) float32: the sum of a target's edges from those of each layer and position
    mass: float  # Σ|edge|, each by itself
