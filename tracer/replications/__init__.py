"""Replication lists: interventions and what they gave when they were published or found, as data, to be run again here.

A list is a YAML file in this folder: `rows.py` says what it may hold, `run.py` does a row's edits with the engine, and
`judge.py` compares figure by figure: next tokens, texts, activations of supernodes. What can't be run at all says why.
"""

from tracer.replications.judge import Check
from tracer.replications.rows import FOLDER, Replications, Row, chosen, names, read
from tracer.replications.run import Result, replicate

__all__ = ["FOLDER", "Check", "Replications", "Result", "Row", "chosen", "names", "read", "replicate"]
