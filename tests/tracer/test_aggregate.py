"""Many graphs together: figures computed by hand on graphs of a few nodes. Each test names the break that fails it."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.helpers import replacement, tiny_llama
from tests.tracer.test_compare import graph as bare_graph
from tracer import Graph, TracerError
from tracer.graph import aggregate
from tracer.graph.aggregate import clopper_pearson, outliers, overlaps, recurring, robust_z, sheet, table_of_graphs
from tracer.graph.consensus import consensus
from tracer.graph.file import Target

graph = partial(bare_graph, prompt="p")


def ball(weight: float = 0.5) -> list[Target]:
    return [Target(" ball", 7, weight, weight, 4.0)]


def first() -> Graph:
    """Influence as a share: of L1/9 3/4; of L0/5 at position 0 3/4·1/4 = 3/16, at position 1 1/4 + 3/16 = 7/16."""
    edges = {
        ("1_9_1", "LOGIT_0"): 3.0,
        ("0_5_1", "LOGIT_0"): -1.0,
        ("0_5_0", "1_9_1"): 1.0,
        ("0_5_1", "1_9_1"): 1.0,
        ("ERR_0_1", "1_9_1"): 2.0,
        ("E_0", "0_5_0"): 2.0,
        ("E_1", "0_5_1"): -3.0,
        ("BIAS_0", "0_5_1"): 1.0,
    }
    return graph([(0, 0, 5), (0, 1, 5), (1, 1, 9)], [8, 2, 4], edges, ball())


def second() -> Graph:
    """Influence: of L0/5 and L1/4 half each; no L1/9. Its target weighs other than the first's."""
    edges = {("0_5_1", "LOGIT_0"): 1.0, ("1_4_1", "LOGIT_0"): 1.0, ("E_0", "1_4_1"): 2.0}
    return graph([(0, 1, 5), (1, 1, 4)], [3, 1], edges, ball(0.2))


def third() -> Graph:
    """Influence of L1/9 1, of L0/5 1/10."""
    edges = {("1_9_0", "LOGIT_0"): 2.0, ("0_5_0", "1_9_0"): -1.0, ("E_0", "1_9_0"): 9.0}
    return graph([(0, 0, 5), (1, 0, 9)], [5, 6], edges, ball())


def sheets() -> list[aggregate.Sheet]:
    return [sheet(id, one) for id, one in (("a", first()), ("b", second()), ("c", third()))]


def row(layer: int, feature: int, least: float = 0.0) -> dict:
    table = recurring(sheets(), least)
    (found,) = table[(table["layer"] == layer) & (table["feature"] == feature)].to_dict("records")
    return found


def test_features_of_most_graphs_come_first() -> None:
    """Fails if order or counts are by node, as L0/5 has two in the first graph, or by influence alone."""
    table = recurring(sheets())
    assert table[["layer", "feature", "graphs"]].to_numpy().tolist() == [[0, 5, 3], [1, 9, 2], [1, 4, 1]]
    assert table["share"].tolist() == pytest.approx([1, 2 / 3, 1 / 3])


def test_influence_is_summed_over_positions_as_a_share_of_the_targets_weight() -> None:
    """Fails without the division by the weight (.5 and .2), or with the largest position in place of the sum."""
    assert row(0, 5)["influence_mean"] == pytest.approx((10 / 16 + 1 / 2 + 1 / 10) / 3)
    assert row(0, 5)["influence_median"] == pytest.approx(1 / 2)
    assert row(1, 9)["influence_mean"] == pytest.approx((3 / 4 + 1) / 2)  # not over the graph where it is no node
    assert row(1, 9)["influence_median"] == pytest.approx(7 / 8)


def test_activation_is_that_of_the_most_influential_position() -> None:
    """Fails with the first or the most active position, where feature 5 fires with 8."""
    assert row(0, 5)["activation_mean"] == pytest.approx((2 + 3 + 5) / 3)
    assert row(0, 5)["activation_median"] == 3
    assert row(1, 9)["activation_median"] == 5  # between 4 and 6


def test_the_strongest_graph_is_the_one_of_most_influence() -> None:
    """Fails with the largest activation: that is 5, in c."""
    assert (row(0, 5)["strongest"], row(0, 5)["position"]) == ("a", 1)
    assert (row(1, 9)["strongest"], row(1, 9)["position"]) == ("c", 0)


def test_what_has_little_influence_can_be_left_out() -> None:
    """Fails if the bound masks figures but not counts, or the other way round."""
    found = row(0, 5, least=0.2)
    assert found["graphs"] == 2 and found["influence_mean"] == pytest.approx((10 / 16 + 1 / 2) / 2)
    assert row(1, 4, least=0.5)["graphs"] == 1  # `least` itself is enough
    assert recurring(sheets(), least=1.1).empty


@pytest.mark.parametrize("n", [1, 7, 40])
def test_the_interval_is_scipys_exact_one(n: int) -> None:
    """Fails with k and n − k exchanged, one tail, or the ends 0 and n as any other."""
    low, high = clopper_pearson(np.arange(n + 1), n)
    for k in range(n + 1):
        expected = stats.binomtest(k, n).proportion_ci(0.95, "exact")
        assert (low[k], high[k]) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert row(1, 9)["low"] == pytest.approx(0.0943, abs=1e-4)  # 2 of 3, as published tables have it
    assert row(1, 9)["high"] == pytest.approx(0.9916, abs=1e-4)


def test_overlap_is_with_the_mean_of_the_others() -> None:
    """Fails with the mean of all graphs, the largest in place of the smallest, or unequal sums.

    As shares of their sums a has L0/5 10/22, L1/9 12/22; b L0/5 1/2, L1/4 1/2; c L0/5 1/11, L1/9 10/11. So c against
    the mean of a and b: L0/5 min(1/11, 21/44) = 1/11, L1/9 min(10/11, 12/44) = 12/44; together 4/11, of 2 − 4/11.
    """
    found = overlaps(sheets())
    assert found[2] == pytest.approx((4 / 11) / (2 - 4 / 11))
    shared = 1 / 2 * (10 / 22 + 1 / 11)  # b: L0/5 alone
    assert found[1] == pytest.approx(shared / (2 - shared))
    assert overlaps([sheet("a", first())] * 2).tolist() == pytest.approx([1, 1])
    assert np.isnan(overlaps([sheet("a", first())])).all()


def test_a_graph_has_its_scores() -> None:
    """Fails if rows and graphs are not in one order."""
    table = table_of_graphs(sheets())
    for id, one in (("a", first()), ("b", second()), ("c", third())):
        (found,) = table[table["id"] == id].to_dict("records")
        assert found["replacement"] == one.scores().replacement
        assert found["strict_completeness"] == one.scores().strict_completeness
        assert found["row_error"] == one.row_error and found["tokens"] == 2 and found["targets"] == " ball"
    assert table["features"].tolist() == [2, 2, 2]


def test_robust_z() -> None:
    """Fails without 1.4826, with the standard deviation, or where MAD is 0 with a division by it."""
    assert robust_z(np.array([1.0, 2, 3, 4, 100])).tolist() == pytest.approx(
        [x / 1.4826 for x in (-2, -1, 0, 1, 97)], rel=1e-6
    )
    assert robust_z(np.array([2.0, 2, 2, 2, 7])).tolist() == pytest.approx([0, 0, 0, 0, 5 / 1.2533])
    assert robust_z(np.array([2.0, 2, np.nan])).tolist()[:2] == [0, 0]
    assert np.isnan(robust_z(np.array([np.nan, np.nan]))).all()


def graphs_with(**of_last: float) -> pd.DataFrame:
    """Seven graphs that differ a little, and one that differs as told."""
    table = table_of_graphs([sheet(str(i), first()) for i in range(8)])
    for name, start in (("replacement", 0.4), ("completeness", 0.7), ("overlap", 0.6)):
        table[name] = [start + 0.01 * i for i in (-3, -2, -1, 0, 1, 2, 3, 0)]
    table["row_error"] = 1e-7
    for name, value in of_last.items():
        table.loc[7, name] = value
    return table


@pytest.mark.parametrize(
    ("measure", "value", "told"),
    [
        ("replacement", 0.1, True),
        ("replacement", 0.7, True),
        ("replacement", 0.42, False),
        ("completeness", 0.2, True),
        ("overlap", 0.1, True),
        ("overlap", 0.95, False),  # more like the others than they are: no outlier
        ("row_error", 1e-2, True),
        ("row_error", 9e-5, False),  # rounding
        ("row_error", 0.0, False),
    ],
)
def test_outliers_are_told_with_their_measure(measure: str, value: float, told: bool) -> None:
    """Fails if a side, a sign or the bound on rounding is wrong."""
    found = outliers(graphs_with(**{measure: value}))
    assert found["id"].tolist() == (["7"] if told else [])
    if told:
        assert found["measure"][0] == measure and found["value"][0] == value and abs(found["z"][0]) > 3.5


def test_few_graphs_have_no_outliers() -> None:
    assert outliers(table_of_graphs([sheet("a", first()), sheet("b", second())])).empty
    far = graphs_with(overlap=0.1)
    assert outliers(far.iloc[[0, 1, 2, 7]]).empty and len(outliers(far.iloc[[0, 1, 2, 3, 7]])) == 1


def test_graphs_of_two_models_are_refused() -> None:
    other = graph([(0, 1, 5)], [1], {("0_5_1", "LOGIT_0"): 1.0}, ball(), model="n", model_fingerprint="c")
    with pytest.raises(TracerError, match="different models"):
        recurring([sheet("a", first()), sheet("b", other)])
    with pytest.raises(TracerError, match="different models"):
        table_of_graphs([sheet("a", first()), sheet("b", other)])


def test_no_graphs_and_graphs_without_features_are_no_error() -> None:
    assert recurring([]).empty and table_of_graphs([]).empty and not len(overlaps([]))
    bare = sheet("a", graph([], [], {("E_0", "LOGIT_0"): 1.0}, ball()))
    assert recurring([bare]).empty and recurring([bare, sheet("b", first())])["graphs"].tolist() == [1, 1]


# The consensus circuit ------------------------------------------------------------------------------------------------

FEATURES = [(0, 5), (1, 9)]
TOKENS, TARGETS = 2, 3


def edges(*graphs: Graph, least: float = 0.01) -> dict[tuple[int, int], dict]:
    found = consensus(graphs, FEATURES, least)
    return {(row["source"], row["target"]): row for row in found.edges.to_dict("records")}


def test_an_edge_is_the_signed_share_of_its_targets_input() -> None:
    """Fails with A transposed, without a sign, or if the mass leaves out errors or bias."""
    found = edges(first())
    assert found[0, 1]["mean"] == pytest.approx((1 + 1) / (1 + 1 + 2))  # both positions of L0/5; the error counts
    assert found[1, TARGETS]["mean"] == pytest.approx(3 / 4)
    assert found[0, TARGETS]["mean"] == pytest.approx(-1 / 4)
    assert found[TOKENS, 0]["mean"] == pytest.approx((2 - 3) / (2 + 3 + 1))  # masses summed, not a mean of shares
    assert set(found) == {(0, 1), (1, TARGETS), (0, TARGETS), (TOKENS, 0)}


def test_a_mean_is_over_graphs_that_have_both_nodes_and_presence_over_all() -> None:
    """Fails if a graph without L1/9 counts as an edge of 0, or is left out of the presence."""
    found = edges(first(), second(), third())
    one = found[0, 1]
    assert (one["graphs"], one["present"]) == (2, 2) and one["share"] == pytest.approx(2 / 3)
    assert one["mean"] == pytest.approx((1 / 2 - 1 / 10) / 2)
    assert (one["low"], one["high"]) == pytest.approx((0.0943, 0.9916), abs=1e-4)
    direct = found[0, TARGETS]
    assert (direct["graphs"], direct["present"]) == (3, 2)  # in c there is no such edge: 0, and not present
    assert direct["mean"] == pytest.approx((-1 / 4 + 1 / 2 + 0) / 3)


def test_the_interval_of_a_mean_is_students() -> None:
    """Fails with n in place of n − 1, a normal quantile, or one tail."""
    found = edges(first(), second(), third())[0, TARGETS]
    values = [-1 / 4, 1 / 2, 0]
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (found["mean_low"], found["mean_high"]) == pytest.approx(expected)
    assert np.isnan(edges(first())[0, 1]["mean_low"])  # one graph says nothing of others


def test_a_weak_edge_is_not_present() -> None:
    """Fails if the bound is on the signed share, or is taken of the mean."""
    found = edges(first(), third(), least=0.2)
    assert found[0, 1]["present"] == 1  # 1/2, −1/10
    assert edges(first(), least=0.25)[0, TARGETS]["present"] == 1  # −1/4


def test_targets_count_by_their_weight() -> None:
    """Fails if the two targets count alike."""
    targets = [Target(" a", 7, 0.6, 0.6, 4.0), Target(" b", 8, 0.2, 0.2, 4.0)]
    both = graph(
        [(0, 1, 5)], [1], {("0_5_1", "LOGIT_0"): 1.0, ("E_0", "LOGIT_0"): 1.0, ("E_0", "LOGIT_1"): 4.0}, targets
    )
    found = edges(both)
    assert found[0, TARGETS]["mean"] == pytest.approx(0.6 * 1 / (0.6 * 2 + 0.2 * 4))
    assert found[TOKENS, TARGETS]["mean"] == pytest.approx((0.6 * 1 + 0.2 * 4) / (0.6 * 2 + 0.2 * 4))


def test_which_nodes_are_there() -> None:
    found = consensus([first(), second(), third()], FEATURES)
    assert found.there.tolist() == [3, 2, 3, 3] and (found.tokens, found.targets) == (TOKENS, TARGETS)
    assert found.n_graphs == 3
    assert consensus([], FEATURES).edges.empty and len(consensus([first()], []).edges) == 0


def test_real_graphs_agree_with_their_dense_matrices() -> None:
    """On a tiny model: influence by its definition (w M + w M² + …), an edge by loops over nodes."""
    model = replacement(tiny_llama())
    graphs = [model.trace(tokens=tokens, max_nodes=60) for tokens in ([0, 4, 9, 2], [0, 7, 9, 2, 5])]
    sheets = [sheet(str(i), one) for i, one in enumerate(graphs)]
    table = recurring(sheets)
    top = table.iloc[0]
    wanted = []
    for one in graphs:
        nodes = one.nodes[one.nodes["kind"] == "feature"]
        mine = nodes[(nodes["layer"] == top["layer"]) & (nodes["feature"] == top["feature"])]
        wanted.append(mine["influence"].sum() / one.weights.sum())
    assert top["graphs"] == 2 and top["influence_mean"] == pytest.approx(np.mean(wanted))
    features = [(int(r["layer"]), int(r["feature"])) for _, r in table[table["graphs"] == 2].head(20).iterrows()]
    found = consensus(graphs, features)
    assert len(found.edges) > 10
    for row in found.edges.head(10).to_dict("records"):
        shares = []
        for one in graphs:
            layout, dense = one.layout, one.adjacency.toarray().astype(np.float64)
            groups = [np.flatnonzero((layout.layer == a) & (layout.feature == b)) for a, b in features]
            groups += [np.arange(layout.first_embedding, layout.first_logit)]
            groups += [np.arange(layout.first_logit, layout.first_bias)]
            targets, sources = groups[row["target"]], groups[row["source"]]
            u = one.weights if row["target"] == found.targets else np.ones(len(targets))
            shares.append((u @ dense[np.ix_(targets, sources)]).sum() / (u @ one.mass[targets]))
        assert row["mean"] == pytest.approx(np.mean(shares), rel=1e-6)
