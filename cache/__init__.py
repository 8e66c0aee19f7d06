"""Graphs on disk: content-addressed, bounded, safe to open. Does not know who asks for them."""

from cache.graphs import CacheError, Entry, GraphCache, graph_key
from cache.sightings import Sighting, Sightings

__all__ = ["CacheError", "Entry", "GraphCache", "Sighting", "Sightings", "graph_key"]
