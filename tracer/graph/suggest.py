"""Suggested supernodes: what features have in common, found by rules and by their place in the graph.

Deterministic, without a network or another model. First the rules of probe prompting (study/methods.md §5), on what is
known of each feature beside the graph; then, among the features that no rule names, those of one position whose paths
are alike. A suggestion says why; a person decides.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.linalg import spsolve_triangular
from scipy.spatial.distance import squareform

from tracer.graph.graph import Graph

CONSISTENT = 0.8  # share of examples that peak at one token, of a dictionary feature
FEWEST_EXAMPLES = 5  # below, where a feature peaks says nothing
SAYS_FROM = 7 / 26  # of the layers: a feature below doesn't speak of the output yet (7 of Gemma-2-2B's 26)
WIDE = 0.55  # share of the prompt's tokens at which a relationship feature is active (median sparsity below .45)
EARLY = 3 / 26  # of the layers: up to there a feature is about the token that it reads
NEAR = 4  # layers that the members of one cluster lie apart, at most
STRUCTURE = 0.25  # mean silhouette below which clusters are no structure (Kaufman & Rousseeuw 1990, table 4)
ALIKE = 0.3  # the largest distance among nodes that are all of one kind
APART = 2.0  # the largest distance there is: such a pair is never in one cluster


@dataclass(frozen=True)
class Evidence:
    """What is known of a feature beside the graph. Empty where nothing is."""

    peaks: tuple[str, ...] = ()  # the token at the peak of each of its strongest examples in a corpus
    spread: float = 0.0  # share of the prompt's tokens at which it is at least half as active as at its largest
    raises: tuple[str, ...] = ()  # the tokens that it raises most, given the sign of its activation; the most first


@dataclass(frozen=True)
class Suggestion:
    kind: str  # dictionary, say, relationship, semantic or profile
    name: str
    nodes: tuple[int, ...]  # at least two, in the order of the graph
    why: str


def suggest(graph: Graph, nodes: Iterable[int], evidence: Mapping[int, Evidence]) -> list[Suggestion]:
    """Groups among these nodes; those that are no features, and those that stay alone, are left out.

    No node is in two suggestions. The rules' come first, then the largest.
    """
    features = sorted({node for node in nodes if node < graph.layout.n_features})
    said: dict[tuple[str, str], list[int]] = defaultdict(list)
    unnamed = []
    for node in features:
        found = _rule(graph, node, evidence.get(node, Evidence()))
        if found is None:
            unnamed.append(node)
        else:
            said[found].append(node)
    suggestions = [
        Suggestion(kind, name, tuple(members), _why(kind, name, graph, members, evidence))
        for (kind, name), members in said.items()
        if len(members) > 1
    ]
    suggestions.sort(key=lambda found: (-len(found.nodes), found.name))
    alone = [members[0] for members in said.values() if len(members) == 1]
    return suggestions + _alike(graph, sorted(unnamed + alone))


def spread_of(activations: np.ndarray, excluded: Sequence[int]) -> float:
    """`activations` (T,) of a feature at each token of the prompt, of any sign; those at `excluded` don't count."""
    size = np.delete(abs(activations), list(excluded))
    return float((size >= size.max() / 2).mean()) if size.any() else 0.0


def fold(token: str) -> str:
    """A token as it is compared: without outer spaces, in one case."""
    return token.strip().casefold()


def _rule(graph: Graph, node: int, known: Evidence) -> tuple[str, str] | None:
    """The first rule that holds: its kind, and what the feature is called by it."""
    layout = graph.layout
    layer, position = int(layout.layer[node]), int(layout.position[node])
    token, share = _commonest(known.peaks)
    if len(known.peaks) >= FEWEST_EXAMPLES and share >= CONSISTENT and token:
        return "dictionary", f"“{token}”"
    if layer >= SAYS_FROM * layout.n_layers:
        raised = {fold(text) for text in known.raises}
        for target in graph.targets:
            if target.id is not None and fold(target.token) in raised:
                return "say", f"say “{fold(target.token)}”"
    if known.spread > WIDE:
        return "relationship", f"across the prompt, at “{fold(graph.tokens[position])}”"
    if layer <= EARLY * layout.n_layers and any(c.isalpha() for c in graph.tokens[position]):
        return "semantic", f"reads “{fold(graph.tokens[position])}”"
    return None


def _commonest(peaks: Sequence[str]) -> tuple[str, float]:
    """The token at which most examples peak, and their share."""
    if not peaks:
        return "", 0.0
    token, n = Counter(map(fold, peaks)).most_common(1)[0]
    return token, n / len(peaks)


def _why(kind: str, name: str, graph: Graph, members: list[int], evidence: Mapping[int, Evidence]) -> str:
    if kind == "dictionary":
        least = min(_commonest(evidence[node].peaks)[1] for node in members)
        return f"each peaks at this token in at least {least:.0%} of its strongest examples"
    if kind == "say":
        return "each raises this token among the most, and this is a target of the graph"
    if kind == "relationship":
        least = min(evidence[node].spread for node in members)
        return f"each is active at {least:.0%} of the prompt's tokens or more, so none of them is what it is about"
    return f"each reads this token, no later than in layer {max(graph.layout.layer[members])}"


@dataclass(frozen=True)
class Paths:
    """Signed shares of each target's absolute input, directly and over all paths through features."""

    direct: sparse.csr_array  # (n, n)
    inward: np.ndarray  # (features, T): of each feature, what it owes to each token of the prompt
    outward: np.ndarray  # (targets, features): of each target, what it owes to each feature

    @classmethod
    def of(cls, graph: Graph) -> "Paths":
        layout, n = graph.layout, graph.layout.n_features
        scale = sparse.diags_array(1 / np.maximum(graph.mass.astype(np.float64), 1e-10))
        direct = sparse.csr_array(scale @ graph.adjacency)
        # lower triangular, as features are in the order of their layers
        passing = sparse.csr_array(sparse.eye_array(n) - direct[:n, :n])
        tokens = direct[:n, layout.first_embedding : layout.first_logit].toarray()
        targets = direct[layout.first_logit : layout.first_bias, :n].toarray()
        return cls(
            direct,
            spsolve_triangular(passing, tokens, lower=True, unit_diagonal=True),
            spsolve_triangular(sparse.csr_array(passing.T), targets.T, lower=False, unit_diagonal=True).T,
        )


def _alike(graph: Graph, nodes: list[int]) -> list[Suggestion]:
    """Clusters of the features of one position."""
    found, paths = [], Paths.of(graph)
    for position in np.unique(graph.layout.position[nodes]):
        here = [node for node in nodes if graph.layout.position[node] == position]
        labels = _clusters(profile_distance(graph, paths, here))
        for label in np.unique(labels):
            members = tuple(node for node, own in zip(here, labels, strict=True) if own == label)
            if len(members) > 1:
                found.append(_profile(graph, paths, members, int(position)))
    return sorted(found, key=lambda suggestion: (-len(suggestion.nodes), suggestion.nodes))


def _profile(graph: Graph, paths: Paths, members: tuple[int, ...], position: int) -> Suggestion:
    layers = graph.layout.layer[list(members)]
    onto = graph.weights @ paths.outward[:, list(members)]
    same = bool((onto >= 0).all() or (onto <= 0).all())
    where = f"L{layers.min()}" if layers.min() == layers.max() else f"L{layers.min()}–{layers.max()}"
    effects = "their effects on the targets have one sign" if same else "their effects on the targets differ in sign"
    name = f"{where} at “{fold(graph.tokens[position])}”"
    return Suggestion("profile", name, members, f"they take from the same nodes and feed the same ones; {effects}")


def profile_distance(graph: Graph, paths: Paths, nodes: Sequence[int]) -> np.ndarray:
    """(m, m), from 0 (alike) to 2: 1 − the mean cosine of four profiles, and 2 for those more than NEAR layers apart.

    The profiles: what each takes from the prompt's tokens over all paths, what it gives to the targets over all paths,
    its direct inputs, and its direct outputs.
    """
    at = np.asarray(nodes)
    profiles = (
        paths.inward[at],
        paths.outward[:, at].T,
        paths.direct[at].toarray(),
        paths.direct[:, at].toarray().T,
    )
    likeness = sum(_cosine(profile) for profile in profiles) / len(profiles)
    distance = np.clip(1 - likeness, 0, APART)
    layer = graph.layout.layer[at]
    distance[abs(layer[:, None] - layer) > NEAR] = APART
    np.fill_diagonal(distance, 0)
    return distance


def _cosine(rows: np.ndarray) -> np.ndarray:
    """(m, m). A row of zeros is like no other."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return unit @ unit.T


def _clusters(distance: np.ndarray) -> np.ndarray:
    """(m,) labels: complete linkage, cut where the mean silhouette is largest; all apart if that is no structure.

    Complete, so that no two members of a cluster are far from each other. All of one kind are one cluster.
    """
    apart = np.arange(len(distance))
    if len(distance) < 2:
        return apart
    if distance.max() <= ALIKE:
        return np.zeros_like(apart)
    tree = linkage(squareform(distance, checks=False), "complete")
    cuts = [fcluster(tree, height, "distance") for height in np.unique(tree[:, 2])]
    best = max(cuts, key=lambda labels: silhouette(distance, labels))
    return best if silhouette(distance, best) >= STRUCTURE else apart


def silhouette(distance: np.ndarray, labels: np.ndarray) -> float:
    """The mean of (b − a) / max(a, b): a to the own cluster, b to the nearest other (Rousseeuw 1987); alone: 0.

    0 too if there is one cluster only.
    """
    clusters = np.unique(labels)
    if len(clusters) < 2:
        return 0.0
    values = []
    for i, own in enumerate(labels):
        mine = (labels == own) & (np.arange(len(labels)) != i)
        if not mine.any():
            values.append(0.0)
            continue
        a = distance[i, mine].mean()
        b = min(distance[i, labels == other].mean() for other in clusters if other != own)
        values.append((b - a) / max(a, b, 1e-12))
    return float(np.mean(values))
