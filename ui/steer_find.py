"""Features to steer, by words: what the lab calls them, what they fire on, what they push, and those of the graph."""

from dataclasses import dataclass

import numpy as np

from lab import About
from service import Service
from tracer import Graph, ReplacementModel
from tracer.dashboards.find import firing_on
from ui.feature_facts import made_by
from ui.feature_label import labels_of
from ui.graph_canvas import pretty_token
from ui.library_search import matches, words_of
from ui.session import get_lab, me

MOST = 12  # of each kind


@dataclass(frozen=True)
class Found:
    layer: int
    feature: int
    position: int | None  # of the node of the graph; None where it is of no prompt
    why: str  # one line, as it is


def find(service: Service, model: ReplacementModel, key: str | None, graph: Graph | None, search: str) -> list[Found]:
    """Each feature (at a position) once, by the first reason: a label, the graph's names, its words, the corpus."""
    words = words_of(search)
    if not words:
        return []
    found: list[Found] = []
    if graph is not None and key is not None and made_by(model, graph):
        found += _of_graph(key, graph, words) + _pushes(model, graph, search)
    found += _labelled(model, words) + _fires(service, model, words)
    once: dict[tuple[int, int, int | None], Found] = {}
    for one in found:
        once.setdefault((one.layer, one.feature, one.position), one)
    return list(once.values())


def _of_graph(key: str, graph: Graph, words: list[str]) -> list[Found]:
    """By label, L13, 13/1012, or token; the most influential first."""
    layout, labels, found = graph.layout, labels_of(key, graph), []
    for node in np.argsort(-graph.influence[: layout.n_features], kind="stable").tolist():
        layer, feature, position = (int(x[node]) for x in (layout.layer, layout.feature, layout.position))
        label, token = labels.get(graph.ids[node], ""), graph.tokens[position]
        if matches(words, label, f"L{layer}", f"{layer}/{feature}", token):
            what = f"{label}, " if label else ""
            found.append(Found(layer, feature, position, f"{what}in the graph at {pretty_token(token)} ({position})"))
            if len(found) == MOST:
                break
    return found


def _pushes(model: ReplacementModel, graph: Graph, search: str) -> list[Found]:
    """Features of the graph by what they do to a token's logit by themselves: activation × effect."""
    token = _one_token(model, search.strip())
    if token is None:
        return []
    layout = graph.layout
    effect = np.array(
        [model.push(int(layout.layer[n]), int(layout.feature[n]), token) for n in range(layout.n_features)]
    )
    pushed = effect * graph.activation[: layout.n_features]
    name = pretty_token(model.token_text(token))
    return [
        Found(
            int(layout.layer[n]),
            int(layout.feature[n]),
            int(layout.position[n]),
            f"pushes {name} by {pushed[n]:+.2g} from {pretty_token(graph.tokens[layout.position[n]])}"
            f" ({layout.position[n]})",
        )
        for n in np.argsort(-np.abs(pushed), kind="stable")[:MOST].tolist()
    ]


def _one_token(model: ReplacementModel, word: str) -> int | None:
    """The token of a word within a text, or at its start."""
    for text in (f" {word}", word):
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and model.token_text(ids[0]).strip() == word:  # no "unknown"
            return ids[0]
    return None


def _labelled(model: ReplacementModel, words: list[str]) -> list[Found]:
    about = About(model=model.model_fingerprint, basis=model.basis_fingerprint)
    found = []
    for record in get_lab().find("label", me(), about):
        layer, feature, text = record.about.layer, record.about.feature, record.head.body.text
        if layer is not None and feature is not None and matches(words, text):
            found.append(Found(layer, feature, None, f"{text}, by {record.head.author}"))
    return found[:MOST]


def _fires(service: Service, model: ReplacementModel, words: list[str]) -> list[Found]:
    folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    found = firing_on(folder, lambda id: any(word in model.token_text(id).lower() for word in words), MOST)
    return [
        Found(f.layer, f.feature, None, f"fires on it: {f.n} of its {f.of} largest activations, up to {f.value:.3g}")
        for f in found
    ]
