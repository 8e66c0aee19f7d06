"""Suggested groups: each rule and its limits, profiles against sums written out, clusters of known shape."""

import numpy as np
import pytest

from tests.helpers import PROMPT, replacement, tiny_gemma3
from tracer.graph import suggest as module
from tracer.graph.graph import Graph
from tracer.graph.suggest import Evidence, Paths, profile_distance, silhouette, spread_of, suggest


@pytest.fixture(scope="module")
def graph() -> Graph:
    return replacement(tiny_gemma3()).trace(PROMPT, max_nodes=80)


@pytest.fixture(scope="module")
def pair(graph: Graph) -> list[int]:
    """Two features of the last layer."""
    return np.flatnonzero(graph.layout.layer == graph.layout.n_layers - 1)[:2].tolist()


def of(graph: Graph, nodes: list[int], evidence: Evidence) -> tuple[str, str] | None:
    """Kind and name of the first suggestion, where all nodes are known to be such."""
    found = suggest(graph, nodes, dict.fromkeys(nodes, evidence))
    return (found[0].kind, found[0].name) if found and found[0].kind != "profile" else None


# Rules


def test_features_that_peak_at_one_token_are_a_dictionary_group(graph: Graph, pair: list[int]) -> None:
    four_of_five = (" Sport", "sport", " sport", "SPORT ", "ball")
    assert of(graph, pair, Evidence(four_of_five)) == ("dictionary", "“sport”")
    assert of(graph, pair, Evidence(("sport",) * 3 + ("ball", "game"))) is None
    assert of(graph, pair, Evidence(("sport",) * 4)) is None  # too few examples


def test_late_features_that_raise_a_target_say_it(graph: Graph, pair: list[int]) -> None:
    target = graph.targets[0].token
    says = Evidence(raises=("other", f" {target.strip().upper()}"))
    assert of(graph, pair, says) == ("say", f"say “{module.fold(target)}”")
    assert of(graph, pair, Evidence(raises=("other",))) is None
    early = np.flatnonzero(graph.layout.layer == 0)[:2].tolist()
    assert (of(graph, early, says) or ("none",))[0] != "say"


def test_features_that_are_active_nearly_everywhere_are_about_no_token(graph: Graph, pair: list[int]) -> None:
    first = pair[0]
    near = [n for n in range(graph.layout.n_features) if graph.layout.position[n] == graph.layout.position[first]]
    later = [n for n in near if graph.layout.layer[n] > 0][:2]
    assert len(later) == 2
    token = module.fold(graph.tokens[graph.layout.position[first]])
    assert of(graph, later, Evidence(spread=0.56)) == ("relationship", f"across the prompt, at “{token}”")
    assert of(graph, later, Evidence(spread=0.55)) is None


def test_early_features_read_the_token_where_they_are(graph: Graph) -> None:
    first = int(np.flatnonzero(graph.layout.layer == 0)[0])
    position = graph.layout.position[first]
    here = np.flatnonzero((graph.layout.layer == 0) & (graph.layout.position == position))[:2].tolist()
    assert of(graph, here, Evidence()) == ("semantic", f"reads “{module.fold(graph.tokens[position])}”")


def test_the_first_rule_that_holds_counts(graph: Graph, pair: list[int]) -> None:
    both = Evidence(("sport",) * 5, 0.9, (graph.targets[0].token,))
    assert (of(graph, pair, both) or ("none",))[0] == "dictionary"
    assert (of(graph, pair, Evidence((), 0.9, (graph.targets[0].token,))) or ("none",))[0] == "say"


def test_the_reason_is_said_in_figures(graph: Graph, pair: list[int]) -> None:
    known = {pair[0]: Evidence(("a",) * 9 + ("b",)), pair[1]: Evidence(("a",) * 5)}
    (found,) = suggest(graph, pair, known)
    assert found.nodes == tuple(pair) and "at least 90% of its strongest examples" in found.why


def test_spread_is_the_share_of_tokens_at_half_of_the_largest_or_more() -> None:
    activations = np.array([9.0, -4.0, 2.0, 1.9, 0.0])
    assert spread_of(activations, [0]) == 0.5  # of −4: itself and 2
    assert spread_of(activations, []) == 0.2
    assert spread_of(np.zeros(3), []) == 0 == spread_of(activations, range(5))


# Profiles


def test_paths_are_all_products_of_shares_along_them(graph: Graph) -> None:
    layout, paths = graph.layout, Paths.of(graph)
    n = layout.n_features
    share = graph.adjacency.toarray().astype(float) / np.maximum(graph.mass, 1e-10)[:, None]
    tokens, targets = slice(layout.first_embedding, layout.first_logit), slice(layout.first_logit, layout.first_bias)
    inward, outward = np.zeros((n, layout.n_tokens)), np.zeros((layout.n_targets, n))
    steps_in, steps_out = share[:n, tokens], share[targets, :n]
    for _ in range(layout.n_layers):  # no path is longer
        inward, outward = inward + steps_in, outward + steps_out
        steps_in, steps_out = share[:n, :n] @ steps_in, steps_out @ share[:n, :n]
    assert abs(steps_in).max() == 0
    assert paths.inward == pytest.approx(inward, abs=1e-9)
    assert paths.outward == pytest.approx(outward, abs=1e-9)
    assert abs(inward - share[:n, tokens]).max() > 1e-3


def test_distance_is_one_less_the_mean_of_four_cosines(graph: Graph) -> None:
    paths, nodes = Paths.of(graph), [3, 20, 41]
    direct = paths.direct.toarray()

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        length = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / length if length else 0.0

    expected = np.zeros((3, 3))
    for i, a in enumerate(nodes):
        for j, b in enumerate(nodes):
            four = (
                cosine(paths.inward[a], paths.inward[b]),
                cosine(paths.outward[:, a], paths.outward[:, b]),
                cosine(direct[a], direct[b]),
                cosine(direct[:, a], direct[:, b]),
            )
            expected[i, j] = 0 if i == j else 1 - sum(four) / 4
    assert profile_distance(graph, paths, nodes) == pytest.approx(expected, abs=1e-9)


def test_whether_members_push_the_targets_the_same_way_is_told(graph: Graph) -> None:
    outward = graph.weights @ Paths.of(graph).outward
    up, down = (np.flatnonzero(way)[:2].tolist() for way in (outward > 0, outward < 0))
    assert len(up) == len(down) == 2
    for members, told in ((up, "have one sign"), (down, "have one sign"), ([up[0], down[0]], "differ in sign")):
        assert module._profile(graph, Paths.of(graph), tuple(members), 1).why.endswith(told)


def test_features_far_apart_in_layers_are_never_alike(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEAR", 0)
    nodes = list(range(graph.layout.n_features))
    for found in suggest(graph, nodes, {}):
        if found.kind == "profile":
            assert len({graph.layout.layer[node] for node in found.nodes}) == 1


# Clusters


def test_silhouette_by_hand() -> None:
    """Points 0 and 1 together, 2 alone: (0.8 − 0.2)/0.8, (1 − 0.2)/1, and 0."""
    distance = np.array([[0, 0.2, 0.8], [0.2, 0, 1.0], [0.8, 1.0, 0]])
    assert silhouette(distance, np.array([0, 0, 1])) == pytest.approx((0.75 + 0.8) / 3)
    assert silhouette(distance, np.array([0, 0, 0])) == 0
    wrong = silhouette(distance, np.array([0, 1, 0]))  # 0 is nearer to 1: (0.2 − 0.8)/0.8, 0, (1 − 0.8)/1
    assert wrong == pytest.approx((-0.75 + 0 + 0.2) / 3)


def test_two_kinds_are_two_clusters_one_kind_is_one_and_noise_is_none() -> None:
    kind = np.array([0, 0, 0, 1, 1, 1])
    two = np.where(kind[:, None] == kind, 0.2, 1.1)
    np.fill_diagonal(two, 0)
    labels = module._clusters(two)
    assert len(set(labels[:3])) == len(set(labels[3:])) == 1 and labels[0] != labels[3]
    assert len(set(module._clusters(two[:3, :3]))) == 1
    noise = np.full((6, 6), 1.0) - np.eye(6)
    assert len(set(module._clusters(noise))) == 6
    assert len(set(module._clusters(np.full((3, 3), module.APART) * (1 - np.eye(3))))) == 3


# What holds of all


def test_suggestions_share_no_node_and_do_not_depend_on_the_order(graph: Graph) -> None:
    nodes = list(range(graph.layout.n_features))
    found = suggest(graph, nodes, {})
    members = [node for suggestion in found for node in suggestion.nodes]
    assert len(members) == len(set(members)) > 4 and all(len(suggestion.nodes) > 1 for suggestion in found)
    assert {suggestion.kind for suggestion in found} >= {"profile", "semantic"}
    assert suggest(graph, nodes[::-1], {}) == found


def test_nodes_that_are_no_features_are_left_out(graph: Graph, pair: list[int]) -> None:
    others = [graph.layout.first_error, graph.layout.first_embedding, graph.layout.first_logit]
    (found,) = suggest(graph, [*pair, *others], {pair[0]: Evidence(("a",) * 5), pair[1]: Evidence(("a",) * 5)})
    assert found.nodes == tuple(pair)
    assert suggest(graph, [], {}) == []
