"""Graphs in the formats of other programs. Their files are anybody's: reading one runs nothing and believes nothing."""

from pathlib import Path

from tracer.graph.graph import Graph
from tracer.interchange import circuit_tracer, neuronpedia
from tracer.interchange.files import reading
from tracer.interchange.foreign import Report
from tracer.interchange.limits import DEFAULT, Limits

__all__ = ["Limits", "Report", "circuit_tracer", "load", "neuronpedia"]


def load(path: str | Path, limits: Limits = DEFAULT) -> tuple[Graph, Report]:
    """The graph of a file of either format, and what else was in it. Raises TracerError for anything else."""
    with reading(path, limits.pt_bytes) as file:
        is_zip = file.read(2) == b"PK"
    return (circuit_tracer if is_zip else neuronpedia).load(path, limits)
