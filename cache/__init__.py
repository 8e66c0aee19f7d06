"""Graphs on disk: content-addressed, bounded, safe to open. Does not know who asks for them."""

from cache.graphs import CacheError, Entry, GraphCache, graph_key

__all__ = ["CacheError", "Entry", "GraphCache", "graph_key"]
