"""Graphs and facts of features on disk: content-addressed, bounded, safe to open. Does not know who asks for them."""

from cache.disk import CacheError
from cache.facts import FactCache, fact_key
from cache.graphs import Entry, GraphCache, graph_key
from cache.sightings import Sighting, Sightings

__all__ = ["CacheError", "Entry", "FactCache", "GraphCache", "Sighting", "Sightings", "fact_key", "graph_key"]
