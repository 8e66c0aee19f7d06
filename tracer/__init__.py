"""The engine: a language model and a feature basis in, an attribution graph out.

Knows nothing of Streamlit, caches or databases.
"""

import os

# Before torch is imported: threads that wait for each other sleep instead of spinning. On cores that others use too (a
# second job, a browser) a trace takes two thirds of the time so; on free cores a tenth more.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tracer.attribution.targets import Difference
from tracer.errors import Cancelled, Progress, TracerError
from tracer.graph.graph import Graph
from tracer.graph.peek import feature_nodes
from tracer.home import home
from tracer.model.load import load
from tracer.replacement import ENGINE_VERSION, ReplacementModel
from tracer.steering.edits import GENERATED, Donor, Edit, Push
from tracer.steering.generate import Sampling

__all__ = [
    "ENGINE_VERSION",
    "GENERATED",
    "Cancelled",
    "Difference",
    "Donor",
    "Edit",
    "Graph",
    "Progress",
    "Push",
    "ReplacementModel",
    "Sampling",
    "TracerError",
    "feature_nodes",
    "home",
    "load",
]
