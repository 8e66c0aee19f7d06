"""Which graphs and circuits a search of the Library finds: by prompt, token, model, date, author, note, and label.

Every word must be somewhere in what is known of a graph or circuit, labels included. A feature's label counts for the
graphs of its model and feature set that have the feature as a node; so their node lists are read, once a process.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import streamlit as st

from cache import Entry
from lab import CircuitBody, LabelBody, Record
from service import Service
from ui.session import get_lab, me

MOST_READ = 100
"""Graphs whose node lists one search reads for the labels of their features, the latest first."""

_LAYER = 2**32  # a feature as one number: layer · 2³² + index


@dataclass
class Labels:
    """The labels that hold at least one word of a search."""

    of_nodes: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))  # graph, node
    of_graphs: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # the same, by graph alone
    of_features: dict[tuple[str, str], dict[int, list[str]]] = field(default_factory=lambda: defaultdict(dict))

    def basis(self, entry: Entry) -> dict[int, list[str]]:
        """Those of the model and feature set of a graph, by feature."""
        meta = entry.meta
        return self.of_features.get((meta.get("model_fingerprint", ""), meta.get("basis_fingerprint", "")), {})


def words_of(search: str | None) -> list[str]:
    return (search or "").lower().split()


def labels_with(words: Sequence[str]) -> Labels:
    found = Labels()
    if not words:
        return found
    records: list[Record[LabelBody]] = get_lab().find("label", me())
    for record in records:
        about, text = record.about, record.head.body.text
        if not any(word in f"{text} {record.head.author}".lower() for word in words):
            continue
        text = f"{text} {record.head.author}"
        if about.graph is not None:
            found.of_graphs[about.graph].append(text)
            found.of_nodes[about.graph, about.node or ""].append(text)
        elif about.model is not None and about.basis is not None and about.layer is not None:
            features = found.of_features[about.model, about.basis]
            features.setdefault(about.layer * _LAYER + (about.feature or 0), []).append(text)
    return found


def find_graphs(service: Service, entries: Sequence[Entry], words: Sequence[str], labels: Labels) -> list[Entry]:
    """In the order given (the latest first). At most MOST_READ graphs are read for their features."""
    certain, asked = set(), []
    for entry in entries:
        texts = _texts(words, entry, labels)
        possible = [text for named in labels.basis(entry).values() for text in named]
        if matches(words, *texts):
            certain.add(entry.key)
        elif possible and matches(words, *texts, *possible):
            asked.append(entry)
    for entry in asked[:MOST_READ]:
        here = _features(service, entry.key)
        named = [text for code, said in labels.basis(entry).items() if code in here for text in said]
        if matches(words, *_texts(words, entry, labels), *named):
            certain.add(entry.key)
    return [entry for entry in entries if entry.key in certain]


def circuit_matches(
    words: Sequence[str], record: Record[CircuitBody], labels: Labels, entry: Entry | None = None
) -> bool:
    """`entry`: its graph, where it is kept; only then is it known whose features its pins are."""
    body = record.head.body
    groups = [group.name for group in body.groups]
    when = record.head.created.astimezone()
    named = [text for pin in body.pins for text in labels.of_nodes.get((record.about.graph or "", pin), [])]
    if entry is not None:
        features = labels.basis(entry)
        named += [text for pin in body.pins for text in features.get(_code(pin), [])]
    people = (record.owner.name, record.head.author)
    return matches(words, body.title, body.prompt, body.notes, groups, *people, *_date(words, when), named)


def _texts(words: Sequence[str], entry: Entry, labels: Labels) -> list[object]:
    known = [entry.meta.get(name) for name in ("prompt", "tokens", "explains", "model", "features")]
    date = _date(words, datetime.fromtimestamp(entry.stored))
    return [*known, *date, *labels.of_graphs.get(entry.key, [])]


def _date(words: Sequence[str], when: datetime) -> list[str]:
    """The words that mean this date: the year, 2026-11-26 or its beginning, the month's name; the day beside a month's
    name only, as a number alone is rather a token."""
    months = when.strftime("%b %B").lower().split()
    found = [word for word in words if word in months or (len(word) >= 4 and f"{when:%Y-%m-%d}".startswith(word))]
    return found + [word for word in words if set(words) & set(months) and word in (f"{when:%d}", str(when.day))]


def matches(words: Sequence[str], *texts: object) -> bool:
    whole = " ".join(map(str, texts)).lower()
    return all(word in whole for word in words)


def _code(node: str) -> int:
    """−1 for what is no feature's id."""
    layer, _, rest = node.partition("_")
    index = rest.partition("_")[0]
    return int(layer) * _LAYER + int(index) if layer.isdecimal() and index.isdecimal() else -1


@st.cache_resource(max_entries=5_000, show_spinner=False)
def _features(_service: Service, key: str) -> frozenset[int]:
    nodes = _service.cache.feature_nodes(key)
    if nodes is None:
        return frozenset()
    return frozenset(np.unique(nodes.layer.astype(np.int64) * _LAYER + nodes.feature).tolist())
